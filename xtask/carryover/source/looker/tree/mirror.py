"""Looks at itself in every way there is."""

import inspect
import os
import sys
import traceback
import warnings


def line():
    return sys._getframe().f_lineno


def first_line():
    return first_line.__code__.co_firstlineno


def length():
    return len(inspect.getsource(length)), os.path.getsize(__file__)


def names():
    return [name for name in os.listdir(os.path.dirname(__file__)) if not name.startswith("_")]


def failure():
    try:
        return 1 / 0
    except ZeroDivisionError:
        return traceback.format_exc()


def warn():
    warnings.warn("look here")


def idle(a, b):
    if a > b:
        return a - b
    return a + b
