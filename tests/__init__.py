"""The tests' root package.

It must be a regular package: a library that we install (linkpreview) ships a top-level package `tests`,
which would hide a namespace package of that name.
"""
