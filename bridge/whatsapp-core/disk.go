package main

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const maxReady = 64 // prepared statements of one connection; whatsmeow has about as many

// disk is the store's file. SQLite commits without waiting for the disk; that is waited for, for all commits at once,
// before a byte goes to WhatsApp (`settle`): so WhatsApp never relies on what a power cut could still undo. A sending
// ratchet that was rolled back after its message went out would use a key twice.
//
// Statements are prepared once for each connection: preparing them took a fifth of all the CPU of a message.
type disk struct {
	driver.Connector
	log       string // path of the write-ahead log
	committed atomic.Uint64
	mu        sync.Mutex
	settled   uint64 // how many of the commits the disk has
}

// settle waits until the disk has everything that is committed.
func (d *disk) settle() error {
	wanted := d.committed.Load()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.settled >= wanted {
		return nil
	}
	wanted = d.committed.Load()
	// By its name each time: SQLite deletes the log with the last connection, once the file itself has everything.
	fd, err := unix.Open(d.log, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		err = nil
	} else if err == nil {
		err = errors.Join(unix.Fdatasync(fd), unix.Close(fd))
	}
	if err != nil {
		return err
	}
	d.settled = wanted
	return nil
}

// transport gives the way to WhatsApp's servers: Go's usual one, which settles the store before it writes.
func (d *disk) transport() *http.Transport {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &settling{conn, d}, nil
	}
	return transport
}

type settling struct {
	net.Conn
	disk *disk
}

func (s *settling) Write(data []byte) (int, error) {
	if err := s.disk.settle(); err != nil {
		// What the kernel could not write once it does not tell again: nothing on this store is sure any more.
		fmt.Fprintln(os.Stderr, "the store cannot be written")
		os.Exit(exitStore)
	}
	return s.Conn.Write(data)
}

// Connect opens a connection.
func (d *disk) Connect(ctx context.Context) (driver.Conn, error) {
	opened, err := d.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &connection{opened.(sqlite), d, map[string]statement{}}, nil
}

// sqlite is what the driver's connections can do, and database/sql asks for.
type sqlite interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// connection keeps its statements prepared. Their contexts are left out: each would cost a goroutine that waits for its
// end, and nothing here takes long but waiting for another connection, which has its own limit (busy_timeout).
type connection struct {
	sqlite
	disk  *disk
	ready map[string]statement
}

func (c *connection) Unwrap() driver.Conn { return c.sqlite }

func (c *connection) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	prepared, err := c.take(query)
	if err != nil {
		return nil, err
	}
	defer c.give(query, prepared)
	if ctx.Value(later{}) == nil {
		defer c.disk.committed.Add(1)
	}
	return prepared.ExecContext(context.Background(), args)
}

func (c *connection) QueryContext(_ context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	prepared, err := c.take(query)
	if err != nil {
		return nil, err
	}
	rows, err := prepared.QueryContext(context.Background(), args)
	if err != nil {
		c.give(query, prepared)
		return nil, err
	}
	return &found{rows, c, query, prepared}, nil
}

func (c *connection) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	begun, err := c.sqlite.BeginTx(ctx, options)
	if err != nil {
		return nil, err
	}
	return &transaction{begun, c.disk}, nil
}

func (c *connection) Close() error {
	for _, prepared := range c.ready {
		_ = prepared.Close()
	}
	return c.sqlite.Close()
}

// take gives a prepared statement that nobody uses; `give` takes it back.
func (c *connection) take(query string) (statement, error) {
	if prepared, is := c.ready[query]; is {
		delete(c.ready, query)
		return prepared, nil
	}
	prepared, err := c.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	return prepared.(statement), nil
}

func (c *connection) give(query string, prepared statement) {
	if _, is := c.ready[query]; is || len(c.ready) >= maxReady {
		_ = prepared.Close()
		return
	}
	c.ready[query] = prepared
}

// found gives its statement back when it was read.
type found struct {
	driver.Rows
	connection *connection
	query      string
	prepared   statement
}

func (r *found) Close() error {
	err := r.Rows.Close()
	if !strings.HasPrefix(strings.TrimSpace(r.query), "SELECT") {
		r.connection.disk.committed.Add(1)
	}
	r.connection.give(r.query, r.prepared)
	return err
}

type transaction struct {
	driver.Tx
	disk *disk
}

func (t *transaction) Commit() error {
	defer t.disk.committed.Add(1)
	return t.Tx.Commit()
}
