"""Signal's end-to-end encryption as WhatsApp's devices speak it: X3DH, double ratchet, XEdDSA.

Pure and synchronous; randomness is an argument. Called by the sandbox's phones and contacts.
"""
