package main

import (
	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types/events"
)

// transient tells what nobody has to keep: states of the connection and of linking, and what is over in a moment.
// Everything else, of whatever kind whatsmeow may have tomorrow, is held until the shard has it.
func transient(event any) bool {
	switch event.(type) {
	case *events.QR, *events.RotateADVSecret, *events.PairSuccess, *events.PairError, *events.QRScannedWithoutMultidevice,
		*events.PairPasskeyRequest, *events.PairPasskeyError, *events.PairPasskeyConfirmation,
		*events.Connected, *events.Disconnected, *events.KeepAliveTimeout, *events.KeepAliveRestored,
		*events.LoggedOut, *events.StreamReplaced, *events.TemporaryBan, *events.ConnectFailure, *events.ClientOutdated,
		*events.StreamError, *events.ManualLoginReconnect, *events.CATRefreshError,
		*events.OfflineSyncPreview, *events.OfflineSyncCompleted, *events.AppStateSyncComplete, *events.AppStateSyncError,
		*events.ChatPresence, *events.Presence, *events.CallTransport, *events.CallRelayLatency:
		return true
	}
	return false
}

// heard passes on what a client says; false keeps it at WhatsApp. Called by whatsmeow, in its order.
func (c *core) heard(client *whatsmeow.Client, event any) bool {
	if now, err := c.current(); err != nil || now != client {
		return false
	}
	said := frameOf(event)
	switch event.(type) {
	case *events.PairSuccess: // the device has got its stores, and no message has come yet
		overlay(client.Store)
	case *events.Connected:
		said["d"] = myself(client.Store)
		c.linked(client.Store.GetJID())
		go c.repair(client)
	case *events.LoggedOut:
		c.unlinked()
	}
	if transient(event) {
		c.wire.tell(said)
		return true
	}
	// The disk gets what whatsmeow has committed while the shard waits for its own journal; WhatsApp hears after both.
	go func() { _ = c.container.disk.settle() }() // who writes to WhatsApp asks again, and takes an error seriously
	return c.wire.hold(said)
}
