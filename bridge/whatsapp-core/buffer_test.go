package main

import (
	"context"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/store"
)

// That a message was acknowledged waits for no disk; that it was decrypted, and everything else, does.
func TestWhatNeedNotBeOnTheDisk(t *testing.T) {
	c, _, _ := newTestCore(t)
	device := deviceOf(t, c.container)
	save(t, device)
	overlay(device)
	ctx, hash := context.Background(), [32]byte{1}
	if err := c.container.disk.settle(); err != nil {
		t.Fatal(err)
	}
	if err := device.EventBuffer.PutBufferedEvent(ctx, hash, []byte("hi"), time.Now()); err != nil {
		t.Fatal(err)
	}
	if !pending(c.container.disk) {
		t.Fatal("a decrypted message does not wait for the disk")
	}
	if err := c.container.disk.settle(); err != nil {
		t.Fatal(err)
	}
	if err := device.EventBuffer.ClearBufferedEventPlaintext(ctx, hash); err != nil || pending(c.container.disk) {
		t.Fatal("its end does", err)
	}
	if kept, err := device.EventBuffer.GetBufferedEvent(ctx, hash); err != nil || kept == nil || kept.Plaintext != nil {
		t.Fatal("the plaintext is still there", err)
	}
}

// A device without stores is left alone, and laid over once they are there.
func TestOverlayOnce(t *testing.T) {
	device := &store.Device{}
	overlay(device)
	if device.Identities != nil || device.EventBuffer != nil {
		t.Fatal("something was laid over nothing")
	}
	device.Identities, device.EventBuffer = &kept{}, &store.NoopStore{}
	overlay(device)
	overlay(device)
	if _, twice := device.EventBuffer.(*buffer).EventBuffer.(*buffer); twice {
		t.Fatal("laid over twice")
	}
}

// sweeps counts how often old messages are looked for.
type sweeps struct {
	store.EventBuffer
	done int
}

func (s *sweeps) DeleteOldOutgoingEvents(context.Context) error {
	s.done++
	return nil
}

// However often it is asked for, old messages are looked for at the first time and then after half a day.
func TestSweepsNowAndThen(t *testing.T) {
	below := &sweeps{}
	b := &buffer{EventBuffer: below}
	for range 3 {
		if err := b.DeleteOldOutgoingEvents(context.Background()); err != nil || below.done != 1 {
			t.Fatal(below.done, err)
		}
	}
	b.swept = b.swept.Add(-sweepEvery - time.Minute)
	if err := b.DeleteOldOutgoingEvents(context.Background()); err != nil || below.done != 2 {
		t.Fatal(below.done, err)
	}
}
