package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"
)

const patience = 10 * time.Second

// shard is the other end of a wire, as the driver plays it.
type shard struct {
	t    *testing.T
	conn net.Conn
}

func pair(t *testing.T, do func(string, json.RawMessage) (any, error)) (*wire, shard) {
	t.Helper()
	here, there := net.Pipe()
	w := newWire(here)
	go w.read(do)
	t.Cleanup(func() { there.Close() })
	if err := there.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return w, shard{t, there}
}

func (s shard) next() object {
	s.t.Helper()
	frame, err := readFrame(s.conn)
	if err != nil {
		s.t.Fatal(err)
	}
	var got object
	if err := json.Unmarshal(frame, &got); err != nil {
		s.t.Fatal(err)
	}
	return got
}

func (s shard) say(frame string) {
	s.t.Helper()
	if err := writeFrame(s.conn, []byte(frame)); err != nil {
		s.t.Fatal(err)
	}
}

func result(t *testing.T, answers <-chan bool) bool {
	t.Helper()
	select {
	case safe := <-answers:
		return safe
	case <-time.After(patience):
		t.Fatal("still held")
		return false
	}
}

func holding(w *wire) <-chan bool {
	answers := make(chan bool, 1)
	go func() { answers <- w.hold(object{"e": "Message"}) }()
	return answers
}

// A durable event waits for its own answer: safe, or not wanted now.
func TestHeldUntilAnswered(t *testing.T) {
	w, s := pair(t, nil)
	for _, c := range []struct {
		answer string
		safe   bool
	}{{`{"a":%d}`, true}, {`{"a":%d,"ok":false}`, false}, {`{"a":%d,"ok":true}`, true}} {
		answers := holding(w)
		event := s.next()
		if event["ack"] != true || w.waiting() != 1 {
			t.Fatal(event, w.waiting())
		}
		s.say(`{"a":999}`) // nobody's
		select {
		case <-answers:
			t.Fatal("released by another's answer")
		default:
		}
		s.say(fmt.Sprintf(c.answer, int(event["n"].(float64))))
		if result(t, answers) != c.safe || w.waiting() != 0 {
			t.Fatal(c)
		}
	}
}

// When the shard is gone, nothing that it had not confirmed counts as safe, now or later.
func TestHeldIsRefusedWhenTheShardIsGone(t *testing.T) {
	w, s := pair(t, nil)
	answers := holding(w)
	s.next()
	s.conn.Close()
	if result(t, answers) || result(t, holding(w)) {
		t.Fatal("counted as safe")
	}
}

// Numbers grow in the order of the socket, held or not.
func TestNumbersAreInOrder(t *testing.T) {
	w, s := pair(t, nil)
	const count = 200
	for i := range count {
		go func() {
			if i%2 == 0 {
				w.tell(object{"e": "Presence"})
			} else {
				w.hold(object{"e": "Message"})
			}
		}()
	}
	for want := 1; want <= count; want++ {
		if got := int(s.next()["n"].(float64)); got != want {
			t.Fatal("want", want, "got", got)
		}
	}
}

// A call is answered with its value or its error, and nothing waits behind a slow one.
func TestCallsAreAnswered(t *testing.T) {
	slow := make(chan struct{})
	_, s := pair(t, func(name string, _ json.RawMessage) (any, error) {
		switch name {
		case "slow":
			<-slow
			return nil, nil
		case "bad":
			return nil, errors.New("no")
		case "unsayable":
			return func() {}, nil
		}
		return object{"name": name}, nil
	})
	s.say(`{"c":"slow","i":1}`)
	s.say(`{"c":"quick","i":2}`)
	if got := s.next(); got["r"] != 2.0 || got["v"].(object)["name"] != "quick" {
		t.Fatal(got)
	}
	s.say(`{"c":"bad","i":3}`)
	if got := s.next(); got["r"] != 3.0 || got["ok"] != false || got["err"] != "no" {
		t.Fatal(got)
	}
	s.say(`{"c":"unsayable","i":4}`)
	if got := s.next(); got["ok"] != false {
		t.Fatal(got)
	}
	close(slow)
	if got := s.next(); got["r"] != 1.0 {
		t.Fatal(got)
	}
}

// More calls than there are places are refused at once instead of queued without bound.
func TestCallsAreBounded(t *testing.T) {
	end := make(chan struct{})
	defer close(end)
	_, s := pair(t, func(string, json.RawMessage) (any, error) { <-end; return nil, nil })
	for i := range maxCalls {
		s.say(fmt.Sprintf(`{"c":"wait","i":%d}`, i+1))
	}
	s.say(`{"c":"wait","i":1000}`)
	if got := s.next(); got["r"] != 1000.0 || got["err"] != errBusy.Error() {
		t.Fatal(got)
	}
}

// What is no request ends the connection: a shard that we half understand is worse than a new start.
func TestNonsenseEndsTheConnection(t *testing.T) {
	w, s := pair(t, nil)
	s.say("nonsense")
	select {
	case <-w.closed:
	case <-time.After(patience):
		t.Fatal("still open")
	}
}
