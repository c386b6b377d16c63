package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

// What was written comes back, frame by frame, and the end between two frames is a plain end.
func TestFramesComeBack(t *testing.T) {
	var stream bytes.Buffer
	sent := [][]byte{[]byte("{}"), bytes.Repeat([]byte("x"), firstRead*3+1), []byte(`{"a":1}`)}
	for _, content := range sent {
		if err := writeFrame(&stream, content); err != nil {
			t.Fatal(err)
		}
	}
	for _, content := range sent {
		got, err := readFrame(&stream)
		if err != nil || !bytes.Equal(content, got) {
			t.Fatalf("got %d bytes, %v", len(got), err)
		}
	}
	if _, err := readFrame(&stream); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}

// A frame that is cut off is not an end, wherever the cut is.
func TestCutFrameIsNoEnd(t *testing.T) {
	var stream bytes.Buffer
	if err := writeFrame(&stream, []byte("abcdef")); err != nil {
		t.Fatal(err)
	}
	for cut := 1; cut < stream.Len(); cut++ {
		if _, err := readFrame(bytes.NewReader(stream.Bytes()[:cut])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
}

// Empty and oversized frames are refused both ways; a length alone takes no memory.
func TestSizesAreBounded(t *testing.T) {
	for _, size := range []int{0, maxFrame + 1} {
		if err := writeFrame(io.Discard, make([]byte, size)); !errors.Is(err, errFrameSize) {
			t.Fatal(size, err)
		}
		head := binary.BigEndian.AppendUint32(nil, uint32(size))
		if _, err := readFrame(bytes.NewReader(head)); !errors.Is(err, errFrameSize) {
			t.Fatal(size, err)
		}
	}
	claimed := binary.BigEndian.AppendUint32(nil, maxFrame)
	taken := testing.AllocsPerRun(10, func() { _, _ = readFrame(bytes.NewReader(claimed)) })
	if taken > 10 {
		t.Fatal("allocations for nothing:", taken)
	}
}

// Any bytes give frames or an error, never a panic, and what is read is written the same way.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, '{', '}'})
	f.Add([]byte{0, 0, 0, 0})
	f.Add([]byte{255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		in := bytes.NewReader(data)
		for {
			content, err := readFrame(in)
			if err != nil {
				return
			}
			var again bytes.Buffer
			if err := writeFrame(&again, content); err != nil || !bytes.Contains(data, again.Bytes()) {
				t.Fatal("not the same bytes", err)
			}
		}
	})
}
