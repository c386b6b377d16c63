//go:build sandbox

package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
	waLog "go.mau.fi/whatsmeow/util/log"
)

// This file is for tests alone and is in no release: it lets the sandbox stand for WhatsApp, by the root key in
// SANDBOX_ROOT, writes whatsmeow's log to stderr if SANDBOX_LOG names a level, can crash when asked, and takes the
// answer of a passkey whose user is called "late" for one that came after five minutes: codes have to be compared then.
func init() {
	if key, err := hex.DecodeString(os.Getenv("SANDBOX_ROOT")); err == nil && len(key) == len(whatsmeow.WACertPubKey) {
		copy(whatsmeow.WACertPubKey[:], key)
	}
	calls["crash"] = func(context.Context, *core, json.RawMessage) (any, error) {
		go panic("asked to crash")
		select {}
	}
	respond := calls["passkey_response"]
	calls["passkey_response"] = func(ctx context.Context, c *core, frame json.RawMessage) (any, error) {
		var a struct {
			Answer *types.WebAuthnResponse `json:"answer"`
		}
		client, err := c.current()
		if err == nil && json.Unmarshal(frame, &a) == nil && a.Answer != nil && a.Answer.Response.UserHandle != nil &&
			string(*a.Answer.Response.UserHandle) == "late" {
			key := reflect.ValueOf(client).Elem().FieldByName("passkeyHandoffKey")
			reflect.NewAt(key.Type(), key.Addr().UnsafePointer()).Elem().SetZero()
		}
		return respond(ctx, c, frame)
	}
}

func logger() waLog.Logger {
	if level := os.Getenv("SANDBOX_LOG"); level != "" {
		return waLog.Stdout("whatsmeow", level, false)
	}
	return waLog.Noop
}
