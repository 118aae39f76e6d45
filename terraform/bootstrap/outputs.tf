output "bucket" {
  description = "Name of the state bucket, for terraform init in platform."
  value       = aws_s3_bucket.state.id
}
