"""CloudWatch's API where moto's answer would mislead: an alarm that nobody has evaluated is not OK."""

from homeport.region.from_moto.cloudwatch import CloudWatchResponse
from homeport.region.from_moto.core import ActionResult

UNKNOWN = "INSUFFICIENT_DATA"


class HomeportCloudWatchResponse(CloudWatchResponse):
    """Alarms begin without data, and keep their state when they are changed, as in AWS."""

    def put_metric_alarm(self) -> ActionResult:
        """Keep an alarm."""
        before = self.cloudwatch_backend.alarms.get(self._get_param("AlarmName"))
        result = super().put_metric_alarm()
        self.cloudwatch_backend.alarms[self._get_param("AlarmName")].state_value = (
            before.state_value if before else UNKNOWN
        )
        return result
