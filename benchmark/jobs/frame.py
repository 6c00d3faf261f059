"""Job `frame`: the mean face of the training people, before which all faces are placed."""

from refbench.errors import NobodyLeft
from refbench.jobs.task import Task, load_head
from refbench.metrics.recognizers.frame import build_frame


def run(task: Task) -> None:
    """Write what `Frame.save` writes."""
    if not task.identity["heads"]:
        raise NobodyLeft("nobody is left to average: the head of every training subject failed")
    build_frame([load_head(task.inputs[key]) for key in task.identity["heads"]]).save(task.out / "frame.npz")
