"""django-q2's cluster: its signal handlers stand before there is anything that they could end, and it counts starts."""

from types import FrameType

from django_q.cluster import Cluster

from spendra.roles import task_starts  # noqa: F401 - its receiver


class TaskCluster(Cluster):  # type: ignore[misc]  # django-q2 has no types
    def sig_handler(self, signum: int, frame: FrameType | None) -> None:
        """Upstream's fails, or forgets the signal, until the guard runs. The supervisor ends what is left of a start
        that was broken off."""
        if self.sentinel is None or not self.sentinel.is_alive():
            raise SystemExit(0)
        super().sig_handler(signum, frame)
