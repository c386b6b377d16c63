// Command box is every program of the test cluster in one binary: the servers of Kubernetes, kubectl, etcd, and three
// small ones of our own. It picks by its first argument, or by the name it was called with.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// programs maps a name to what runs it; each reads os.Args as if it were a binary of its own and returns its exit code.
var programs = map[string]func() int{
	"kube-apiserver":          apiServer,
	"kube-controller-manager": controllerManager,
	"kube-scheduler":          scheduler,
	"kubelet":                 kubelet,
	"kube-proxy":              proxy,
	"kubectl":                 kubectl,
	"etcd":                    etcd,
	"certs":                   certs,
	"forward":                 forward,
}

func main() {
	args := append([]string{filepath.Base(os.Args[0])}, os.Args[1:]...)
	if programs[args[0]] == nil {
		args = args[1:]
	}
	if len(args) == 0 || programs[args[0]] == nil {
		var names []string
		for name := range programs {
			names = append(names, name)
		}
		slices.Sort(names)
		fmt.Fprintf(os.Stderr, "usage: box PROGRAM [ARGUMENT…]\nprograms: %s\n", strings.Join(names, ", "))
		os.Exit(2)
	}
	os.Args = args
	os.Exit(programs[args[0]]())
}

// fail prints an error of one of our own programs and gives its exit code.
func fail(program string, err error) int {
	fmt.Fprintf(os.Stderr, "%s: %v\n", program, err)
	return 1
}
