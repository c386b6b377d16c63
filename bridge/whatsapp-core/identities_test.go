package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.mau.fi/whatsmeow/store"
)

// kept is a store that counts what reaches it.
type kept struct {
	store.IdentityStore
	puts, asks int
	keys       map[string][32]byte
	broken     error
}

func (k *kept) PutIdentity(_ context.Context, address string, key [32]byte) error {
	k.puts++
	if k.broken == nil {
		k.keys[address] = key
	}
	return k.broken
}

func (k *kept) IsTrustedIdentity(_ context.Context, address string, key [32]byte) (bool, error) {
	k.asks++
	known, is := k.keys[address]
	return !is || known == key, nil
}

func (k *kept) DeleteIdentity(_ context.Context, address string) error {
	delete(k.keys, address)
	return nil
}

func (k *kept) DeleteAllIdentities(context.Context, string) error {
	clear(k.keys)
	return nil
}

func newIdentities() (*identities, *kept) {
	below := &kept{keys: map[string][32]byte{}}
	device := &store.Device{Identities: below}
	overlay(device)
	overlay(device) // once is enough
	return device.Identities.(*identities), below
}

// A key that the store has is neither written nor read again; another one is.
func TestKnownIdentityCostsNothing(t *testing.T) {
	ctx := context.Background()
	s, below := newIdentities()
	old, fresh := [32]byte{1}, [32]byte{2}
	for range 3 {
		if err := s.PutIdentity(ctx, "bob:1", old); err != nil {
			t.Fatal(err)
		}
		if trusted, err := s.IsTrustedIdentity(ctx, "bob:1", old); err != nil || !trusted {
			t.Fatal(trusted, err)
		}
	}
	if below.puts != 1 || below.asks != 0 {
		t.Fatal(below.puts, below.asks)
	}
	if trusted, _ := s.IsTrustedIdentity(ctx, "bob:1", fresh); trusted {
		t.Fatal("another key is trusted")
	}
	if err := s.PutIdentity(ctx, "bob:1", fresh); err != nil || below.keys["bob:1"] != fresh {
		t.Fatal("the new key was not saved", err)
	}
}

// What is deleted is asked for again.
func TestDeletedIdentityIsForgotten(t *testing.T) {
	ctx := context.Background()
	for name, forget := range map[string]func(*identities) error{
		"one": func(s *identities) error { return s.DeleteIdentity(ctx, "bob:1") },
		"all": func(s *identities) error { return s.DeleteAllIdentities(ctx, "bob") },
	} {
		s, below := newIdentities()
		if err := errors.Join(s.PutIdentity(ctx, "bob:1", [32]byte{1}), forget(s)); err != nil {
			t.Fatal(name, err)
		}
		if trusted, err := s.IsTrustedIdentity(ctx, "bob:1", [32]byte{2}); err != nil || !trusted || below.asks != 1 {
			t.Fatal(name, trusted, err)
		}
		if err := s.PutIdentity(ctx, "bob:1", [32]byte{1}); err != nil || below.puts != 2 {
			t.Fatal(name, "not saved again", err)
		}
	}
}

// What could not be saved is not remembered as saved.
func TestUnsavedIdentityIsTriedAgain(t *testing.T) {
	s, below := newIdentities()
	below.broken = errors.New("disk")
	if err := s.PutIdentity(context.Background(), "bob:1", [32]byte{1}); err == nil {
		t.Fatal("no error")
	}
	below.broken = nil
	if err := s.PutIdentity(context.Background(), "bob:1", [32]byte{1}); err != nil || below.puts != 2 {
		t.Fatal(below.puts, err)
	}
}

// However many people write, no more than so many keys are remembered.
func TestIdentitiesAreBounded(t *testing.T) {
	s, _ := newIdentities()
	for n := range maxIdentities + 10 {
		if err := s.PutIdentity(context.Background(), fmt.Sprint(n), [32]byte{1}); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.known) > maxIdentities {
		t.Fatal(len(s.known))
	}
}
