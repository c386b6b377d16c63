package main

import (
	"context"
	"sync"

	"go.mau.fi/whatsmeow/store"
)

const maxIdentities = 1000 // contacts' devices whose keys are remembered; then it begins anew

// identities remembers the identity keys that the store has: libsignal asks for, and saves, each with every message.
type identities struct {
	store.IdentityStore
	mu    sync.Mutex
	known map[string][32]byte
}

// overlay lays it, and `buffer`, over a device's stores, once that has them.
func overlay(device *store.Device) {
	if _, is := device.Identities.(*identities); !is && device.Identities != nil {
		device.Identities = &identities{IdentityStore: device.Identities, known: map[string][32]byte{}}
		device.EventBuffer = &buffer{EventBuffer: device.EventBuffer}
	}
}

func (s *identities) PutIdentity(ctx context.Context, address string, key [32]byte) error {
	if known, is := s.get(address); is && known == key {
		return nil
	}
	if err := s.IdentityStore.PutIdentity(ctx, address, key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= maxIdentities {
		clear(s.known)
	}
	s.known[address] = key
	return nil
}

func (s *identities) IsTrustedIdentity(ctx context.Context, address string, key [32]byte) (bool, error) {
	if known, is := s.get(address); is {
		return known == key, nil
	}
	return s.IdentityStore.IsTrustedIdentity(ctx, address, key)
}

func (s *identities) DeleteAllIdentities(ctx context.Context, phone string) error {
	s.forget()
	return s.IdentityStore.DeleteAllIdentities(ctx, phone)
}

func (s *identities) DeleteIdentity(ctx context.Context, address string) error {
	s.forget()
	return s.IdentityStore.DeleteIdentity(ctx, address)
}

func (s *identities) get(address string) ([32]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, is := s.known[address]
	return key, is
}

func (s *identities) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.known)
}
