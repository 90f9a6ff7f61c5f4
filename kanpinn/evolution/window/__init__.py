"""One window of time: its collocation equations, Newton's method, and its errors.

`solve_window` returns a `Window`; `Control` chooses the length and the stages of the next one.
"""
