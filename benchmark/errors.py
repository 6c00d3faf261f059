"""What can go wrong, as a tree. Every message says what, where and what to do about it.

RefbenchError
├── SuiteError        the suite file is wrong (exit code 2)
├── PluginError       a plug-in cannot be found, loaded or built
├── DataError         a head or a data folder cannot be used
├── InvalidOutput     a plug-in returned what its contract forbids
├── StoreError        the store cannot be read or written
│   └── DamagedInput  a result that a job needs differs from its checksums (`refbench.damage`)
├── EngineError       the machines that jobs should run on cannot be had
├── CardFull          a graphics card has not enough memory for a training
├── LeakError         an attacker opened what it was not given (`refbench.guard`)
├── NobodyLeft        the preparation of every subject of a part failed
└── Unavailable       a plug-in lacks a program or a file on this machine
"""


class RefbenchError(Exception):
    """Base of all errors that are meant for the user: shown as one message, never as a traceback."""


class SuiteError(RefbenchError):
    """The suite file is wrong; the message names file, line, column and key of every problem."""


class PluginError(RefbenchError):
    """A plug-in cannot be found, loaded or given these parameters."""


class DataError(RefbenchError):
    """A head, a file or a data folder cannot be used; the message names it."""


class InvalidOutput(RefbenchError):  # noqa: N818  (it is also the name of a job status)
    """A plug-in broke its contract: another shape, NaN, another type."""


class StoreError(RefbenchError):
    """The store cannot be read or written, or what it holds is damaged."""


class EngineError(RefbenchError):
    """The machines that jobs should run on cannot be had, or cannot do the work."""


class CardFull(RefbenchError):  # noqa: N818  (it becomes the job status `out of memory`)
    """A graphics card has not enough memory for a training, however small its batch."""


class Unavailable(RefbenchError):  # noqa: N818  (it becomes the job status `skipped`)
    """A plug-in lacks something on this machine; what needs it is skipped, and tables say why."""


class NobodyLeft(RefbenchError):  # noqa: N818  (it becomes the job status `blocked`)
    """The preparation of every subject that a job would need has failed."""
