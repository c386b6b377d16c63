package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/appstate"
	"go.mau.fi/whatsmeow/proto/waCompanionReg"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

const (
	defaultTimeout = 75 * time.Second // of a call that names none; whatsmeow's own
	goodbye        = time.Second      // for the connection to be closed when the shard is gone
	deletion       = 3 * time.Second  // for the keys of an ended link to be deleted
	resyncAfter    = 2 * time.Second  // the first fetches of a connection are over
	resyncTime     = 2 * time.Minute
	slowest        = 15 // errors after which the pause between connects (2 s each) grows no more
)

var (
	errBusy         = errors.New("too many calls under way")
	errNotConnected = errors.New("not connected")
	errNotLinked    = errors.New("not logged in")
	errUnknownCall  = errors.New("unknown call")
)

// core is one account: its store, and at most one client on it.
type core struct {
	wire      *wire
	container *storage
	mark      mark
	http      *http.Client // to WhatsApp; nothing goes out before the disk has what it rests on

	life      sync.Mutex // one connect or disconnect at a time
	mu        sync.Mutex // guards what follows; never held while whatsmeow works, whose handlers take it
	client    *whatsmeow.Client
	account   types.JID // the device that is linked, or was last
	gone      bool      // WhatsApp has ended that link, and whatsmeow is about to delete its keys
	unclean   bool      // the last end was none: what the phone changed meanwhile may be missing in the store
	repairing bool      // and is being fetched again
}

func newCore(w *wire, container *storage, path string) *core {
	m := markOf(path)
	way := &http.Client{Transport: container.disk.transport()}
	return &core{wire: w, container: container, mark: m, http: way, unclean: m.set()}
}

// describe sets what the phone shows among its linked devices.
func describe(name string) {
	store.DeviceProps.Os = proto.String(name)
	store.DeviceProps.PlatformType = waCompanionReg.DeviceProps_DESKTOP.Enum()
}

func (c *core) hello() {
	device, err := c.container.GetFirstDevice(context.Background())
	hello := object{"e": "Hello", "pid": os.Getpid()}
	if err == nil && device.ID != nil {
		hello["d"] = myself(device)
	}
	c.wire.tell(hello)
}

// myself names the account, for events that say who we are.
func myself(device *store.Device) object {
	return object{"ID": device.GetJID().String(), "LID": device.GetLID().String(), "PushName": device.PushName}
}

// newClient makes a client as this bridge wants it; docs/whatsapp-core.md says why for each switch.
func newClient(device *store.Device, way *http.Client) *whatsmeow.Client {
	overlay(device)
	client := whatsmeow.NewClient(device, logger())
	client.SetWebsocketHTTPClient(way)
	client.SetPreLoginHTTPClient(way)
	client.SynchronousAck = true
	client.EnableDecryptedEventBuffer = true // without it a redelivery whose ratchet step is spent would be lost
	client.UseRetryMessageStore = true
	client.ManualHistorySyncDownload = true
	client.EmitAppStateEventsOnFullSync = true
	client.AutomaticMessageRerequestFromPhone = true
	client.InitialAutoReconnect = device.ID != nil // nobody waits for a code that a later try would bring
	client.SendReportingTokens = true
	client.SetMaxParallelRetryReceiptHandling(1)
	client.AutoReconnectHook = func(error) bool {
		client.AutoReconnectErrors = min(client.AutoReconnectErrors, slowest)
		return true
	}
	return client
}

// connect lets go of the client before and opens a new one on what is in the store now: linked, or to be linked.
func (c *core) connect() error {
	c.life.Lock()
	defer c.life.Unlock()
	c.put(nil)
	c.mark.set()
	device, err := c.device()
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	client := newClient(device, c.http)
	client.AddEventHandlerWithSuccessStatus(func(event any) bool { return c.heard(client, event) })
	c.put(client)
	if err := client.Connect(); err != nil {
		c.put(nil)
		return err
	}
	return nil
}

// device gives what is in the store, once the keys of an ended link are out of it: whatsmeow tells the end first.
func (c *core) device() (*store.Device, error) {
	for deadline := time.Now().Add(deletion); ; time.Sleep(lockLook) {
		device, err := c.container.GetFirstDevice(context.Background())
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		deleting := c.gone && device.GetJID() == c.account
		if !deleting || time.Now().After(deadline) {
			c.account, c.gone = device.GetJID(), false
			c.mu.Unlock()
			return device, nil
		}
		c.mu.Unlock()
	}
}

// linked and unlinked note what the client has said of its account.
func (c *core) linked(account types.JID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.account = account
}

func (c *core) unlinked() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = true
}

// disconnect closes the connection and keeps the link; a store that is left like this needs no repair.
func (c *core) disconnect() {
	c.life.Lock()
	defer c.life.Unlock()
	c.put(nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.unclean {
		c.mark.clear()
	}
}

// put makes a client (or none) the one that is heard, and then disconnects the one before.
func (c *core) put(client *whatsmeow.Client) {
	c.mu.Lock()
	before := c.client
	c.client = client
	c.mu.Unlock()
	if before != nil {
		before.Disconnect()
	}
}

// current gives the client; an error while there is none.
func (c *core) current() (*whatsmeow.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == nil {
		return nil, errNotConnected
	}
	return c.client, nil
}

// call does one call of the shard; a bug in one is an error of that one.
func (c *core) call(name string, frame json.RawMessage) (value any, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			value, err = nil, fmt.Errorf("panic in call %s", name)
		}
	}()
	do, known := calls[name]
	if !known {
		return nil, errUnknownCall
	}
	var common struct {
		Timeout int64 `json:"timeout_ms"`
	}
	if err := json.Unmarshal(frame, &common); err != nil {
		return nil, err
	}
	timeout := defaultTimeout
	if common.Timeout > 0 && common.Timeout < defaultTimeout.Milliseconds() {
		timeout = time.Duration(common.Timeout) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return do(ctx, c, frame)
}

// repair fetches all app state again after an unclean end: whatsmeow notes a collection's version before it tells what
// has changed, so what a crash swallowed would never come. What it brings is the state as it is, not news.
func (c *core) repair(client *whatsmeow.Client) {
	if !c.repairs(client, true) {
		return
	}
	defer c.repairs(client, false)
	time.Sleep(resyncAfter)
	ctx, cancel := context.WithTimeout(context.Background(), resyncTime)
	defer cancel()
	for _, name := range appstate.AllPatchNames {
		if err := client.FetchAppState(ctx, name, true, false); err != nil {
			return // the mark stays: the next connection tries again
		}
	}
	c.mu.Lock()
	c.unclean = false
	c.mu.Unlock()
	c.wire.tell(object{"e": "Repaired"})
}

// repairs notes that a repair begins or has ended; tells whether one may begin: it is due, and none is under way.
func (c *core) repairs(client *whatsmeow.Client, begins bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if begins && (!c.unclean || c.repairing || c.client != client) {
		return false
	}
	c.repairing = begins
	return true
}

// end closes the connection, if that goes quickly: the shard is gone, and so are we.
func (c *core) end() {
	done := make(chan struct{})
	go func() {
		c.put(nil)
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(goodbye):
	}
}
