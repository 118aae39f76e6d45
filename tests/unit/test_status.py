from homeport.local import status


def test_an_instance_that_is_not_as_it_should_be_says_why_below_its_line():
    instance = {"id": "i-1", "zone": "a", "address": "127.64.0.4", "lifecycle": "Terminating", "target": "unused"}
    service = {
        "url": "http://x",
        "desired": 1,
        "healthy": 0,
        "troubles": ["load balancer main works without a listener"],
        "instances": [instance | {"pid": 7, "reason": "the engine is away"}, instance | {"pid": 8, "reason": ""}],
    }
    lines = status.render({"driver": "process", "services": {"balance": service}}).splitlines()
    assert lines[1].strip() == "load balancer main works without a listener"
    assert [line.split()[-1] for line in lines[2:]] == ["7", "away", "8"]
    assert lines[3].strip() == "the engine is away"
