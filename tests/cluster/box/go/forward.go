package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// A socket belongs to the network namespace it was made in, whoever uses it afterwards. One locked thread enters the
// cluster's namespace and makes every outgoing socket; everything else stays outside.
type dial struct {
	answer chan<- dialed
}

type dialed struct {
	conn net.Conn
	err  error
}

// forward listens outside and passes connections on to an address inside the namespace of process -pid. It ends when
// that process does.
func forward() int {
	flags := flag.NewFlagSet("forward", flag.ExitOnError)
	pid := flags.Int("pid", 0, "a process inside the cluster's namespaces")
	to := flags.String("to", "", "IPv4 address and port inside")
	listen := flags.String("listen", "127.0.0.1:0", "where to listen outside; port 0 takes a free one")
	portFile := flags.String("port-file", "", "file that gets the port once it listens")
	_ = flags.Parse(osArgs())

	target, err := netip.ParseAddrPort(*to)
	if err != nil {
		return fail("forward", err)
	}
	process, err := unix.PidfdOpen(*pid, 0)
	if err != nil {
		return fail("forward", fmt.Errorf("process %d: %w", *pid, err))
	}
	listener, err := net.Listen("tcp4", *listen)
	if err != nil {
		return fail("forward", err)
	}
	dials := make(chan dial)
	entered := make(chan error)
	go dialInside(process, target, dials, entered)
	if err := <-entered; err != nil {
		return fail("forward", err)
	}
	if *portFile != "" {
		port := listener.Addr().(*net.TCPAddr).Port
		if err := os.WriteFile(*portFile+".new", fmt.Appendln(nil, port), 0o600); err != nil {
			return fail("forward", err)
		}
		if err := os.Rename(*portFile+".new", *portFile); err != nil {
			return fail("forward", err)
		}
	}
	go func() {
		ended := []unix.PollFd{{Fd: int32(process), Events: unix.POLLIN}}
		for {
			if n, err := unix.Poll(ended, -1); n > 0 || (err != nil && err != unix.EINTR) {
				os.Exit(0)
			}
		}
	}()
	for {
		outside, err := listener.Accept()
		if err != nil {
			return fail("forward", err)
		}
		go serve(outside.(*net.TCPConn), dials)
	}
}

func dialInside(process int, target netip.AddrPort, dials <-chan dial, entered chan<- error) {
	runtime.LockOSThread() // never unlocked: no other goroutine may run on a thread of that namespace
	err := unix.Setns(process, unix.CLONE_NEWNET)
	entered <- err
	if err != nil {
		return
	}
	for request := range dials {
		conn, err := connect(target)
		request.answer <- dialed{conn, err}
	}
}

// connect makes a connection with plain system calls, so that it surely happens on this thread. Everything inside is
// one hop away: a blocking connect is answered at once.
func connect(target netip.AddrPort) (net.Conn, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "inside")
	defer file.Close() // FileConn has its own copy
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		return nil, err
	}
	address := &unix.SockaddrInet4{Port: int(target.Port()), Addr: target.Addr().As4()}
	if err := unix.Connect(fd, address); err != nil {
		return nil, err
	}
	return net.FileConn(file)
}

func serve(outside *net.TCPConn, dials chan<- dial) {
	defer outside.Close()
	answer := make(chan dialed, 1)
	dials <- dial{answer}
	made := <-answer
	if made.err != nil {
		return
	}
	inside := made.conn.(*net.TCPConn)
	defer inside.Close()
	var both sync.WaitGroup
	for _, way := range [][2]*net.TCPConn{{outside, inside}, {inside, outside}} {
		both.Add(1)
		go func() {
			defer both.Done()
			_, _ = io.Copy(way[1], way[0])
			_ = way[1].CloseWrite() // the other way may still have something to say
		}()
	}
	both.Wait()
}

// osArgs are the arguments of one of our own programs.
func osArgs() []string { return os.Args[1:] }
