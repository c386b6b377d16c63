//go:build !sandbox

package main

import waLog "go.mau.fi/whatsmeow/util/log"

// A release trusts WhatsApp's pinned key and nothing else, and says nothing: whatsmeow's log names people.
func logger() waLog.Logger { return waLog.Noop }
