package main

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"runtime/debug"
	"runtime/metrics"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
)

const (
	browser     = whatsmeow.PairClientChrome // linking by code wants a browser's name, "Browser (System)"
	browserName = "Chrome (Linux)"
)

func connectCall(_ context.Context, c *core, _ json.RawMessage) (any, error) {
	return nil, c.connect()
}

func disconnectCall(_ context.Context, c *core, _ json.RawMessage) (any, error) {
	c.disconnect()
	return nil, nil
}

func pairPhone(ctx context.Context, client *whatsmeow.Client, a struct {
	Number string `json:"number"`
}) (any, error) {
	code, err := client.PairPhone(ctx, a.Number, true, browser, browserName)
	return object{"code": code}, err
}

func passkeyResponse(ctx context.Context, client *whatsmeow.Client, a struct {
	Answer *types.WebAuthnResponse `json:"answer"`
}) (any, error) {
	if a.Answer == nil {
		return nil, errors.New("no answer")
	}
	return nil, client.SendPasskeyResponse(ctx, a.Answer)
}

func passkeyConfirm(ctx context.Context, client *whatsmeow.Client, _ nothing) (any, error) {
	return nil, client.SendPasskeyConfirmation(ctx)
}

func logout(ctx context.Context, client *whatsmeow.Client, _ nothing) (any, error) {
	return nil, client.Logout(ctx)
}

// statsCall is also the ping: it needs neither client nor disk, and stops nothing.
func statsCall(_ context.Context, c *core, _ json.RawMessage) (any, error) {
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	client, err := c.current()
	return object{
		"goroutines": runtime.NumGoroutine(), "heap": heap[0].Value.Uint64(), "held": c.wire.waiting(),
		"connected": err == nil && client.IsConnected() && client.IsLoggedIn(),
	}, nil
}

func freeCall(context.Context, *core, json.RawMessage) (any, error) {
	debug.FreeOSMemory()
	return nil, nil
}
