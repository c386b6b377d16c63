"""The sandbox's remote control: accounts and phones on demand, scripted over HTTP with JSON.

`api` is the routes, `people` makes accounts, `service` runs everything in one process. The client's side is
`tests.sandbox.client`.
"""
