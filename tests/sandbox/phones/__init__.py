"""Phones and contacts: device 0 of every account, with real encryption and a scriptable owner.

`phone.Phone` is the `contract.Handset`; the control API scripts it. Nothing here knows sockets or HTTP.
"""
