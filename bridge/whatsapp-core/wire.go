package main

import (
	"bufio"
	"encoding/json"
	"net"
	"sync"
)

const maxCalls = 64 // under way at once; more are refused, not queued

type object = map[string]any

// wire is the socket to the shard: numbered events out, of which some are held until the shard answers, calls in.
type wire struct {
	conn   net.Conn
	mu     sync.Mutex // guards what follows, and the order on the socket: numbers grow as they are written
	next   uint64
	held   map[uint64]chan bool
	closed chan struct{}
	places chan struct{}
}

func newWire(conn net.Conn) *wire {
	return &wire{
		conn:   conn,
		held:   map[uint64]chan bool{},
		closed: make(chan struct{}),
		places: make(chan struct{}, maxCalls),
	}
}

// request is what every frame of the shard has: an acknowledgement (a, ok) or a call (c, i) with its arguments beside.
type request struct {
	Ack  uint64 `json:"a"`
	OK   *bool  `json:"ok"`
	Call string `json:"c"`
	ID   uint64 `json:"i"`
}

// read serves the shard until the socket ends; then everything held is refused, so that WhatsApp keeps it.
func (w *wire) read(do func(name string, frame json.RawMessage) (any, error)) {
	defer w.close()
	in := bufio.NewReader(w.conn)
	for {
		frame, err := readFrame(in)
		if err != nil {
			return
		}
		var r request
		if json.Unmarshal(frame, &r) != nil {
			return // not our shard; better a new start than a half understood one
		}
		if r.Call == "" {
			w.release(r.Ack, r.OK == nil || *r.OK)
			continue
		}
		select {
		case w.places <- struct{}{}:
			go func() {
				defer func() { <-w.places }()
				value, err := do(r.Call, frame)
				w.answer(r.ID, value, err)
			}()
		default:
			w.answer(r.ID, nil, errBusy)
		}
	}
}

// tell writes an event that nobody waits for.
func (w *wire) tell(event object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.put(event)
}

// hold writes an event and waits until the shard has it safe (true), does not want it now, or is gone (false).
func (w *wire) hold(event object) bool {
	answer := make(chan bool, 1)
	w.mu.Lock()
	event["ack"] = true
	w.held[w.next+1] = answer
	written := w.put(event)
	if !written {
		delete(w.held, w.next)
	}
	w.mu.Unlock()
	if !written {
		return false
	}
	select {
	case safe := <-answer:
		return safe
	case <-w.closed:
		return false
	}
}

func (w *wire) put(event object) bool {
	w.next++
	event["n"] = w.next
	return w.send(event)
}

func (w *wire) answer(id uint64, value any, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.send(object{"r": id, "ok": false, "err": err.Error()})
	} else if !w.send(object{"r": id, "ok": true, "v": value}) {
		w.send(object{"r": id, "ok": false, "err": "answer cannot be written"})
	}
}

func (w *wire) send(content object) bool {
	data, err := json.Marshal(content)
	if err != nil {
		return false
	}
	return writeFrame(w.conn, data) == nil
}

func (w *wire) release(n uint64, safe bool) {
	w.mu.Lock()
	answer := w.held[n]
	delete(w.held, n)
	w.mu.Unlock()
	if answer != nil {
		answer <- safe
	}
}

// waiting counts the events that the shard has not answered.
func (w *wire) waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.held)
}

func (w *wire) close() {
	close(w.closed)
	w.conn.Close()
}
