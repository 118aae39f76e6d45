def test_podman(host):
    assert host.run("podman --version").rc == 0
