package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waAdv"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
)

func newTestCore(t *testing.T) (*core, shard, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a store?#%.db") // a name that a URL would read otherwise
	container, err := openStore(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { container.Close() })
	w, s := pair(t, func(string, json.RawMessage) (any, error) { return nil, nil })
	return newCore(w, container, path), s, path
}

// deviceOf gives the device of a store, a new one if there is none.
func deviceOf(t testing.TB, container *storage) *store.Device {
	t.Helper()
	device, err := container.GetFirstDevice(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return device
}

// save makes a device a linked one.
func save(t testing.TB, device *store.Device) {
	t.Helper()
	account := types.NewJID("33612000000", types.DefaultUserServer)
	account.Device = 1
	device.ID, device.LID = &account, bob
	device.Account = &waAdv.ADVSignedDeviceIdentity{
		Details: []byte{1}, AccountSignature: make([]byte, 64), AccountSignatureKey: make([]byte, 32), DeviceSignature: make([]byte, 64),
	}
	if err := device.Save(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// The client is made with every switch that keeps messages safe.
func TestSwitches(t *testing.T) {
	c, _, _ := newTestCore(t)
	device := deviceOf(t, c.container)
	client := newClient(device, http.DefaultClient)
	for name, on := range map[string]bool{
		"SynchronousAck": client.SynchronousAck, "EnableDecryptedEventBuffer": client.EnableDecryptedEventBuffer,
		"UseRetryMessageStore": client.UseRetryMessageStore, "ManualHistorySyncDownload": client.ManualHistorySyncDownload,
		"EmitAppStateEventsOnFullSync": client.EmitAppStateEventsOnFullSync, "AutoTrustIdentity": client.AutoTrustIdentity,
		"AutomaticMessageRerequestFromPhone": client.AutomaticMessageRerequestFromPhone,
		"SendReportingTokens":                client.SendReportingTokens, "EnableAutoReconnect": client.EnableAutoReconnect,
	} {
		if !on {
			t.Error(name, "is off")
		}
	}
	if client.InitialAutoReconnect {
		t.Error("an account that is not linked waits for a connection in silence")
	}
	client.AutoReconnectErrors = 1000
	if !client.AutoReconnectHook(errors.New("x")) || client.AutoReconnectErrors != slowest {
		t.Error("the pause between connects grows without end")
	}
}

// The store is kept so that a power cut does not roll back a ratchet, and lies where it was asked to.
func TestStoreIsDurable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a store?#%.db")
	container, err := openStore(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer container.Close()
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + "-wal"); err != nil {
		t.Fatal("no write-ahead log", err)
	}
	if !strings.Contains(pragmas, "synchronous(NORMAL)") || !strings.Contains(pragmas, "_txlock=immediate") {
		t.Fatal(pragmas)
	}
}

// What is no database is refused, not overwritten.
func TestSpoiltStoreIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	spoilt := strings.Repeat("this is no database ", 500)
	if err := os.WriteFile(path, []byte(spoilt), mode); err != nil {
		t.Fatal(err)
	}
	if _, err := openStore(context.Background(), path); err == nil {
		t.Fatal("opened")
	}
	if kept, err := os.ReadFile(path); err != nil || string(kept) != spoilt {
		t.Fatal("changed")
	}
}

// A second core on a store waits for the first to go, and gives up when it does not.
func TestOneCoreOnAStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	first, err := lockStore(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := lockStore(path, 50*time.Millisecond); err == nil {
		second.Close()
		t.Fatal("two on one store")
	}
	waiting := make(chan error, 1)
	go func() {
		second, err := lockStore(path, patience)
		if err == nil {
			err = second.Close()
		}
		waiting <- err
	}()
	first.Close()
	if err := <-waiting; err != nil {
		t.Fatal(err)
	}
}

// An end without goodbye is seen at the next start, a proper one is not.
func TestUncleanEndIsSeen(t *testing.T) {
	c, _, path := newTestCore(t)
	if c.unclean {
		t.Fatal("a new store")
	}
	if again := newCore(c.wire, c.container, path); !again.unclean {
		t.Fatal("a crash was not seen")
	}
	c.disconnect()
	if again := newCore(c.wire, c.container, path); again.unclean {
		t.Fatal("a proper end was taken for a crash")
	}
}

// After an unclean end one repair is under way at a time, of the present client, until one has succeeded.
func TestRepairsOneByOne(t *testing.T) {
	c, _, path := newTestCore(t)
	device := deviceOf(t, c.container)
	present := newClient(device, http.DefaultClient)
	c.put(present)
	if c.repairs(present, true) {
		t.Fatal("nothing was to be repaired")
	}
	c = newCore(c.wire, c.container, path)
	c.put(present)
	if c.repairs(newClient(device, http.DefaultClient), true) || !c.repairs(present, true) || c.repairs(present, true) {
		t.Fatal("not one repair of the present client")
	}
	c.repairs(present, false)
	if !c.repairs(present, true) {
		t.Fatal("one that failed is not tried again")
	}
}

// A link that has ended is not opened again while its keys are being deleted.
func TestKeysOfAnEndedLinkAreWaitedFor(t *testing.T) {
	c, _, _ := newTestCore(t)
	device := deviceOf(t, c.container)
	save(t, device)
	first, err := c.device()
	if err != nil || first.ID == nil {
		t.Fatal("not linked", err)
	}
	c.unlinked()
	go func() {
		time.Sleep(5 * lockLook)
		_ = c.container.DeleteDevice(context.Background(), device)
	}()
	if next, err := c.device(); err != nil || next.ID != nil {
		t.Fatal("the ended link was taken for the present one", err)
	}
}

// The greeting of a core that is not linked has no account.
func TestHello(t *testing.T) {
	c, s, _ := newTestCore(t)
	go c.hello()
	if got := s.next(); got["e"] != "Hello" || got["d"] != nil || int(got["pid"].(float64)) != os.Getpid() {
		t.Fatal(got)
	}
}

// Only what the present client says is heard; messages of one that was let go stay at WhatsApp.
func TestFormerClientIsNotHeard(t *testing.T) {
	c, s, _ := newTestCore(t)
	device := deviceOf(t, c.container)
	former, present := newClient(device, http.DefaultClient), newClient(device, http.DefaultClient)
	c.put(former)
	c.put(present)
	if c.heard(former, &events.Message{}) || c.heard(former, &events.Connected{}) {
		t.Fatal("taken from a client that is gone")
	}
	go c.heard(present, &events.Presence{From: bob})
	if got := s.next(); got["e"] != "Presence" || got["ack"] != nil {
		t.Fatal(got)
	}
	safe := make(chan bool, 1)
	go func() { safe <- c.heard(present, &events.Message{}) }()
	if got := s.next(); got["e"] != "Message" || got["ack"] != true {
		t.Fatal(got)
	}
	s.say(`{"a":2}`)
	if !result(t, safe) {
		t.Fatal("not taken")
	}
}

// What nobody has named is durable: better held once too often than lost.
func TestUnknownEventsAreHeld(t *testing.T) {
	type Tomorrow struct{}
	for _, event := range []any{&Tomorrow{}, &events.Message{}, &events.Receipt{}, &events.UndecryptableMessage{}, &events.CallOffer{}, &events.GroupInfo{}, &events.Contact{}} {
		if transient(event) {
			t.Errorf("%T is let go", event)
		}
	}
}

// Without a connection every call answers with an error of its own, and quickly.
func TestCallsWithoutConnection(t *testing.T) {
	c, _, _ := newTestCore(t)
	for name := range calls {
		switch name {
		case "connect", "disconnect", "stats", "free", "crash":
			continue
		}
		if _, err := c.call(name, json.RawMessage(`{}`)); !errors.Is(err, errNotConnected) {
			t.Error(name, err)
		}
	}
	if _, err := c.call("no such call", json.RawMessage(`{}`)); !errors.Is(err, errUnknownCall) {
		t.Error(err)
	}
	stats, err := c.call("stats", json.RawMessage(`{}`))
	said := stats.(object)
	if err != nil || said["held"] != 0 || said["connected"] != false || said["heap"].(uint64) == 0 {
		t.Error(stats, err)
	}
}

// A bug in a call is that call's error.
func TestPanicInACall(t *testing.T) {
	c, _, _ := newTestCore(t)
	calls["bug"] = func(context.Context, *core, json.RawMessage) (any, error) { panic("bug") }
	defer delete(calls, "bug")
	if _, err := c.call("bug", json.RawMessage(`{}`)); err == nil {
		t.Fatal("no error")
	}
}

// A file is there when it is whole, and nothing is left of one that failed.
func TestFilesAreWholeOrAbsent(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "photo")
	failed := whole(path, func(file *os.File) error { _, _ = file.WriteString("half"); return errors.New("no") })
	if left, _ := os.ReadDir(folder); failed == nil || len(left) != 0 {
		t.Fatal(failed, left)
	}
	if err := whole(path, func(file *os.File) error { _, err := file.WriteString("all"); return err }); err != nil {
		t.Fatal(err)
	}
	if kept, err := os.ReadFile(path); err != nil || string(kept) != "all" {
		t.Fatal(string(kept), err)
	}
	if whole("relative", func(*os.File) error { return nil }) == nil {
		t.Fatal("a path that depends on where we were started")
	}
}

// Every call is in the documentation.
func TestCallsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/whatsapp-core.md")
	if err != nil {
		t.Fatal(err)
	}
	var lacking []string
	for name := range calls {
		if name != "crash" && !strings.Contains(string(page), "`"+name+"`") {
			lacking = append(lacking, name)
		}
	}
	sort.Strings(lacking)
	if len(lacking) > 0 {
		t.Fatal(lacking)
	}
}

// Arguments of any kind give an error or an attempt, never a panic: there is a client, but no connection.
func FuzzCalls(f *testing.F) {
	for _, arguments := range []string{
		`{"to":"1@lid","text":"x"}`, `{"m":{"conversation":"x"},"to":"1@lid"}`, `{"who":"1@lid"}`, `{"numbers":["1"]}`,
		`{"answer":{}}`, `{"path":"/nowhere/x","kind":"image"}`, `{"event":{"Ciphertext":"AQ=="},"key":"AQ=="}`, `[]`, `null`,
	} {
		for name := range calls {
			f.Add(name, []byte(arguments))
		}
	}
	folder := f.TempDir()
	container, err := openStore(context.Background(), filepath.Join(folder, "store.db"))
	if err != nil {
		f.Fatal(err)
	}
	device := deviceOf(f, container)
	save(f, device)
	c := newCore(newWire(nil), container, filepath.Join(folder, "store.db"))
	c.client = whatsmeow.NewClient(device, nil)
	f.Fuzz(func(t *testing.T, name string, arguments []byte) {
		switch name {
		case "connect", "disconnect", "crash", "upload", "download", "history_download":
			return // real connections and files
		}
		_, err := c.call(name, arguments)
		if err != nil && strings.HasPrefix(err.Error(), "panic") {
			t.Fatal(name, string(arguments))
		}
	})
}
