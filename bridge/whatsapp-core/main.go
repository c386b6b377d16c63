// ponton-whatsapp is the WhatsApp half of a shard: whatsmeow as a process of its own, spoken to over one socket.
//
// Started by the shard's core driver (ponton_bridge/whatsapp/core_driver), which is its only caller. It says every event
// of whatsmeow, keeps what must not be lost unacknowledged at WhatsApp until the shard has it on disk, and does what it is
// asked. It ends when its shard ends. The protocol is described in docs/whatsapp-core.md.
//
//	ponton-whatsapp -fd 3 -store /store/whatsapp.db -name Ponton
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Exit codes: the driver tells a store that cannot be used from a crash by them.
const (
	exitUsage  = 64
	exitStore  = 65
	exitLocked = 75
)

const lockPatience = 10 * time.Second // for a dying core on the same store

func init() { runtime.LockOSThread() } // main's thread is the process's first, which the next line is about

func main() {
	// A core that is stopped (SIGSTOP) when its shard dies would hold the store for ever.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		os.Exit(exitUsage)
	}
	runtime.UnlockOSThread()
	fd := flag.Int("fd", -1, "the shard's end of a stream socket pair, inherited")
	store := flag.String("store", "", "the SQLite file of the account's keys")
	name := flag.String("name", "Ponton", "what the phone shows among its linked devices")
	flag.Parse()
	// Libraries print to stdout (libsignal does); nobody reads it there.
	if err := unix.Dup2(int(os.Stderr.Fd()), int(os.Stdout.Fd())); err != nil {
		os.Exit(exitUsage)
	}
	os.Exit(run(*fd, *store, *name))
}

func run(fd int, path, name string) int {
	if fd < 0 || path == "" || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "usage: ponton-whatsapp -fd N -store FILE [-name NAME]; started by ponton shard")
		return exitUsage
	}
	conn, err := inherit(fd)
	if err != nil {
		fmt.Fprintln(os.Stderr, "no socket at this descriptor")
		return exitUsage
	}
	lock, err := lockStore(path, lockPatience)
	if err != nil {
		fmt.Fprintln(os.Stderr, "another process uses this store")
		return exitLocked
	}
	defer lock.Close()
	container, err := openStore(context.Background(), path)
	if err != nil {
		fmt.Fprintln(os.Stderr, "the store cannot be opened")
		return exitStore
	}
	serve(conn, container, path, name)
	return 0
}

func serve(conn net.Conn, container *storage, path, name string) {
	describe(name)
	w := newWire(conn)
	c := newCore(w, container, path)
	c.hello()
	w.read(c.call)
	c.end()
}

// inherit takes over the descriptor that the shard has left open for us, and keeps it from children.
func inherit(fd int) (net.Conn, error) {
	unix.CloseOnExec(fd)
	file := os.NewFile(uintptr(fd), "shard")
	if file == nil {
		return nil, errors.New("no descriptor")
	}
	defer file.Close() // FileConn has one of its own
	return net.FileConn(file)
}
