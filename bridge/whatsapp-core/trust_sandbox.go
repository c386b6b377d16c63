//go:build sandbox

package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"os"

	"go.mau.fi/whatsmeow"
	waLog "go.mau.fi/whatsmeow/util/log"
)

// This file is for tests alone and is in no release: it lets the sandbox stand for WhatsApp, by the root key in
// SANDBOX_ROOT, writes whatsmeow's log to stderr if SANDBOX_LOG names a level, and can crash when asked.
func init() {
	if key, err := hex.DecodeString(os.Getenv("SANDBOX_ROOT")); err == nil && len(key) == len(whatsmeow.WACertPubKey) {
		copy(whatsmeow.WACertPubKey[:], key)
	}
	calls["crash"] = func(context.Context, *core, json.RawMessage) (any, error) {
		go panic("asked to crash")
		select {}
	}
}

func logger() waLog.Logger {
	if level := os.Getenv("SANDBOX_LOG"); level != "" {
		return waLog.Stdout("whatsmeow", level, false)
	}
	return waLog.Noop
}
