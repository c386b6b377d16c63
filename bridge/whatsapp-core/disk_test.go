package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	sqlitedriver "modernc.org/sqlite"
)

// newDisk gives a store of one connection with a table of one row, so that its statements are all in one place.
func newDisk(t *testing.T) (*disk, *sql.DB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	connector, err := sqlitedriver.NewConnector("file:" + path + "?" + pragmas)
	if err != nil {
		t.Fatal(err)
	}
	d := &disk{Connector: connector, log: path + "-wal"}
	db := sql.OpenDB(d)
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	for _, query := range []string{"CREATE TABLE t (n INTEGER)", "INSERT INTO t VALUES (1)"} {
		if _, err := db.Exec(query); err != nil {
			t.Fatal(err)
		}
	}
	return d, db
}

// ready gives how many statements the one connection keeps.
func ready(t *testing.T, db *sql.DB) int {
	t.Helper()
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	kept := 0
	if err := conn.Raw(func(one any) error { kept = len(one.(*connection).ready); return nil }); err != nil {
		t.Fatal(err)
	}
	return kept
}

// pending tells whether something was committed that the disk was not waited for.
func pending(d *disk) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.committed.Load() > d.settled
}

// What was committed, in whichever way, is on the disk before a byte goes out; nobody waits when there is nothing.
func TestNothingGoesOutBeforeTheDiskHasIt(t *testing.T) {
	d, db := newDisk(t)
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		for buffer := make([]byte, 16); ; {
			if _, err := theirs.Read(buffer); err != nil {
				return
			}
		}
	}()
	out := &settling{ours, d}
	for name, change := range map[string]func() error{
		"statement": func() error { _, err := db.Exec("UPDATE t SET n = 2"); return err },
		"with rows": func() error { var n int; return db.QueryRow("INSERT INTO t VALUES (3) RETURNING n").Scan(&n) },
		"transaction": func() error {
			tx, err := db.Begin()
			if err != nil {
				return err
			}
			_, err = tx.Exec("INSERT INTO t VALUES (4)")
			return errors.Join(err, tx.Commit())
		},
	} {
		if _, err := out.Write([]byte("x")); err != nil || pending(d) {
			t.Fatal("before", name, err)
		}
		if err := change(); err != nil || !pending(d) {
			t.Fatal(name, err)
		}
		if _, err := out.Write([]byte("x")); err != nil || pending(d) {
			t.Fatal("after", name, err)
		}
	}
	var n int
	if err := db.QueryRow("SELECT n FROM t").Scan(&n); err != nil || pending(d) {
		t.Fatal("a reader makes the disk wait", err)
	}
}

// A commit while another is waited for is not taken for settled; many of them cost one wait.
func TestSettlesWhatCameMeanwhile(t *testing.T) {
	d, db := newDisk(t)
	for n := range 5 {
		if _, err := db.Exec("INSERT INTO t VALUES (?)", n); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.settle(); err != nil || d.settled != d.committed.Load() {
		t.Fatal(err, d.settled)
	}
	d.committed.Add(1)
	if !pending(d) {
		t.Fatal("settled before its time")
	}
}

// SQLite deletes its log with the last connection; a log that cannot be opened otherwise is an error.
func TestLogThatIsGone(t *testing.T) {
	d, db := newDisk(t)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(d.log); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("the log is there", err)
	}
	if err := d.settle(); err != nil || pending(d) {
		t.Fatal(err)
	}
	d.committed.Add(1)
	d.log += "/x" // below something that is no folder
	if err := os.WriteFile(filepath.Dir(d.log), nil, mode); err != nil {
		t.Fatal(err)
	}
	if err := d.settle(); err == nil || !pending(d) {
		t.Fatal("taken for settled")
	}
}

// A statement is prepared once, however often it is used, and is there again after it has failed.
func TestStatementsArePreparedOnce(t *testing.T) {
	_, db := newDisk(t)
	before := ready(t, db)
	for n := range 3 {
		if _, err := db.Exec("INSERT INTO t VALUES (?)", n); err != nil {
			t.Fatal(err)
		}
		var found int
		if err := db.QueryRow("SELECT count(*) FROM t WHERE n = ?", n).Scan(&found); err != nil || found == 0 {
			t.Fatal(found, err)
		}
		if _, err := db.Exec("INSERT INTO t VALUES (?)"); err == nil {
			t.Fatal("an argument is missing")
		}
	}
	if now := ready(t, db); now != before+2 {
		t.Fatal(before, now)
	}
}

// The same query may be asked while its first answer is still read.
func TestStatementInUseIsNotSharedOut(t *testing.T) {
	_, db := newDisk(t)
	if _, err := db.Exec("INSERT INTO t VALUES (2), (3)"); err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	const query = "SELECT n FROM t ORDER BY n"
	outer, err := tx.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer outer.Close()
	var seen []int
	for outer.Next() {
		var n, first int
		if err := errors.Join(outer.Scan(&n), tx.QueryRow(query).Scan(&first)); err != nil || first != 1 {
			t.Fatal(first, err)
		}
		seen = append(seen, n)
	}
	if fmt.Sprint(seen) != "[1 2 3]" || outer.Err() != nil {
		t.Fatal(seen, outer.Err())
	}
}

// Queries that are never the same do not fill the memory.
func TestPreparedStatementsAreBounded(t *testing.T) {
	_, db := newDisk(t)
	for n := range 2 * maxReady {
		if _, err := db.Exec(fmt.Sprintf("INSERT INTO t VALUES (%d)", n)); err != nil {
			t.Fatal(err)
		}
	}
	if kept := ready(t, db); kept != maxReady {
		t.Fatal(kept)
	}
}

// A transaction that is rolled back leaves nothing behind, and the connection usable.
func TestRollback(t *testing.T) {
	_, db := newDisk(t)
	ctx, cancel := context.WithCancel(context.Background())
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO t VALUES (9)"); err != nil {
		t.Fatal(err)
	}
	cancel()
	_ = tx.Rollback()
	var found int
	if err := db.QueryRow("SELECT count(*) FROM t").Scan(&found); err != nil || found != 1 {
		t.Fatal(found, err)
	}
}
