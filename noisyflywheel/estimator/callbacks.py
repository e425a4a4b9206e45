"""What differs between the supported versions of scikit-learn."""

from __future__ import annotations

from typing import Any

try:  # scikit-learn >= 1.9
    from sklearn.callback import CallbackSupportMixin, with_callbacks

    HAS_CALLBACKS = True
except ImportError:
    HAS_CALLBACKS = False

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands in below scikit-learn 1.9: no callbacks can be set."""

    def with_callbacks(method: Any) -> Any:
        """Leave the method as it is."""
        return method


class FitTask:
    """The fit as scikit-learn's callbacks see it: one task with a subtask per cycle; nothing below 1.9."""

    def __init__(self, estimator: Any, n_cycles_at_most: int, X: Any, y: Any, sample_weight: Any = None) -> None:
        self.estimator, self.X, self.y = estimator, X, y
        self.weights = None if sample_weight is None else {"sample_weight": sample_weight}
        self.context = None
        if HAS_CALLBACKS:
            self.context = estimator._init_callback_context(max_subtasks=n_cycles_at_most)
            self.context.call_on_fit_task_begin(estimator=estimator, X=X, y=y)

    def cycle_begin(self) -> Any:
        """Open the subtask of one cycle."""
        if self.context is None:
            return None
        task = self.context.subcontext(task_name="cycle")
        task.call_on_fit_task_begin(estimator=self.estimator, X=self.X, y=self.y)
        return task

    def cycle_end(self, task: Any) -> bool:
        """Close the subtask; returns whether a callback asks to stop."""
        if task is None:
            return False
        return bool(task.call_on_fit_task_end(estimator=self.estimator, X=self.X, y=self.y))

    def end(self) -> None:
        """Close the task of the fit; the estimator is fitted and can be scored."""
        if self.context is not None:
            fitted = {"estimator": self.estimator, "metadata": self.weights, "reconstruction_attributes": {}}
            self.context.call_on_fit_task_end(X=self.X, y=self.y, **fitted)
