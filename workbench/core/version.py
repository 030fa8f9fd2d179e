"""The version of the workbench: what a run says made it, and what a wheel is built as."""

__version__ = "0.1.0"
