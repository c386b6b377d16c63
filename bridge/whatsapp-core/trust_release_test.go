//go:build !sandbox

package main

import (
	"encoding/hex"
	"testing"

	"go.mau.fi/whatsmeow"
)

// A release has WhatsApp's own root key, whatever its environment says (the integration tests run it against the sandbox).
func TestReleaseTrustsWhatsAppAlone(t *testing.T) {
	const pinned = "142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b"
	if got := hex.EncodeToString(whatsmeow.WACertPubKey[:]); got != pinned {
		t.Fatal(got)
	}
	if _, there := calls["crash"]; there {
		t.Fatal("a call for tests alone")
	}
}
