# Run from the repository's root: tflint --config="$PWD/.config/tflint.hcl" --chdir=terraform --recursive
# Only the rules that are built in: the AWS rules are a plugin from outside, and terraform validate and the API know more.
plugin "terraform" {
  enabled = true
  preset  = "all"
}

# Files here are named after what they hold (group.tf, role.tf), not after what kind of block it is.
rule "terraform_standard_module_structure" {
  enabled = false
}
