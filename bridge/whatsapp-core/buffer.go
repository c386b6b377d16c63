package main

import (
	"context"
	"sync"
	"time"

	"go.mau.fi/whatsmeow/store"
)

const sweepEvery = 12 * time.Hour // looks for sent messages that are too old to be asked for again

// later marks a context: what is done in it need not be on the disk before something goes out.
type later struct{}

// buffer is the store of decrypted messages that the shard has not acknowledged, and of sent ones for retries. That one
// was acknowledged reaches the disk whenever it may: if a power cut undoes it, WhatsApp sends the message once more or
// never, and the shard knows it. Old ones are swept now and then: whatsmeow asks for it with each message.
type buffer struct {
	store.EventBuffer
	mu    sync.Mutex
	swept time.Time
}

func (b *buffer) ClearBufferedEventPlaintext(ctx context.Context, ciphertextHash [32]byte) error {
	return b.EventBuffer.ClearBufferedEventPlaintext(context.WithValue(ctx, later{}, true), ciphertextHash)
}

func (b *buffer) DeleteOldOutgoingEvents(ctx context.Context) error {
	b.mu.Lock()
	due := time.Since(b.swept) > sweepEvery
	if due {
		b.swept = time.Now()
	}
	b.mu.Unlock()
	if !due {
		return nil
	}
	return b.EventBuffer.DeleteOldOutgoingEvents(ctx)
}
