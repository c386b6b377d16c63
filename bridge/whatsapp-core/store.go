package main

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"time"

	"go.mau.fi/whatsmeow/store/sqlstore"
	waLog "go.mau.fi/whatsmeow/util/log"
	"golang.org/x/sys/unix"
	sqlitedriver "modernc.org/sqlite" // in Go alone
)

const (
	connections = 4 // to the database; a reader need not wait for a writer
	lockLook    = 20 * time.Millisecond
	mode        = 0o600
)

// NORMAL, since `disk` waits for the disk itself, when it has to. Immediate transactions never meet "database is locked"
// half way. Each connection keeps 256 KiB of pages: SQLite's own 2,000 keep 4 MiB in sum that nobody misses.
const pragmas = "_txlock=immediate&_pragma=foreign_keys(1)&_pragma=busy_timeout(10000)" +
	"&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=cache_size(-256)"

// storage is whatsmeow's store and the file that it is in.
type storage struct {
	*sqlstore.Container
	disk *disk
}

func openStore(ctx context.Context, path string) (*storage, error) {
	connector, err := sqlitedriver.NewConnector("file:" + (&url.URL{Path: path}).EscapedPath() + "?" + pragmas)
	if err != nil {
		return nil, err
	}
	below := &disk{Connector: connector, log: path + "-wal"}
	db := sql.OpenDB(below)
	db.SetMaxOpenConns(connections)
	container := sqlstore.NewWithDB(db, "sqlite", waLog.Noop)
	if err := container.Upgrade(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &storage{container, below}, nil
}

// lockStore makes this process the store's only core. A predecessor may still be dying, so it tries for a while.
func lockStore(path string, patience time.Duration) (*os.File, error) {
	file, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, mode)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(lockLook) {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return file, nil
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(err, file.Close())
		}
	}
}

// mark is a file that lies beside the store while a core works on it: one that is found at a start tells of an unclean end.
type mark string

func markOf(path string) mark { return mark(path + ".working") }

// set lays the mark; tells whether it was there already.
func (m mark) set() bool {
	file, err := os.OpenFile(string(m), os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return errors.Is(err, os.ErrExist)
	}
	file.Close()
	return false
}

func (m mark) clear() { _ = os.Remove(string(m)) }
