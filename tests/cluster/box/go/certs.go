package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// pair is a certificate with its key.
type pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// maker writes certificates below a folder; the first error is kept and ends everything after it.
type maker struct {
	folder string
	err    error
}

// certs writes what a control plane and one node need: authorities, server and client certificates, and a kubeconfig
// for each program (see the table below).
func certs() int {
	flags := flag.NewFlagSet("certs", flag.ExitOnError)
	out := flags.String("out", "", "folder to write to; made when missing")
	node := flags.String("node", "node", "name of the node")
	names := flags.String("names", "", "names and addresses of the API server, comma between")
	nodeNames := flags.String("node-names", "", "names and addresses of the kubelet, comma between")
	server := flags.String("server", "https://127.0.0.1:6443", "where the programs inside find the API server")
	_ = flags.Parse(osArgs())
	if err := os.MkdirAll(*out, 0o700); err != nil {
		return fail("certs", err)
	}
	m := &maker{folder: *out}
	ca := m.issue("ca", nil, "ponton-box-ca", nil, nil)
	front := m.issue("front-proxy-ca", nil, "ponton-box-front-proxy-ca", nil, nil)
	m.issue("apiserver", &ca, "kube-apiserver", nil, strings.Split(*names, ","))
	m.issue("apiserver-kubelet-client", &ca, "kube-apiserver-kubelet-client", []string{"system:masters"}, nil)
	m.issue("front-proxy-client", &front, "front-proxy-client", nil, nil)
	m.issue("kubelet", &ca, "system:node:"+*node, []string{"system:nodes"}, strings.Split(*nodeNames, ","))
	m.serviceAccountKey()
	for _, client := range []struct{ file, user, group string }{
		{"admin", "kubernetes-admin", "system:masters"},
		{"box", "ponton-box", "system:masters"}, // the tool's own loops; the audit log leaves them out
		{"controller-manager", "system:kube-controller-manager", ""},
		{"scheduler", "system:kube-scheduler", ""},
		{"kube-proxy", "system:kube-proxy", ""},
		{"kubelet-client", "system:node:" + *node, "system:nodes"},
	} {
		made := m.issue(client.file, &ca, client.user, []string{client.group}, nil)
		m.kubeconfig(client.file, *server, ca, made)
	}
	if m.err != nil {
		return fail("certs", m.err)
	}
	return 0
}

// issue writes name.crt and name.key. Without an authority it is one itself; with subjects it also serves.
func (m *maker) issue(name string, by *pair, user string, groups, subjects []string) pair {
	if m.err != nil {
		return pair{}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		m.err = err
		return pair{}
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		m.err = err
		return pair{}
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: user},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(7 * 24 * time.Hour), // longer than any test runs
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, group := range groups {
		if group != "" {
			template.Subject.Organization = append(template.Subject.Organization, group)
		}
	}
	for _, subject := range subjects {
		if ip := net.ParseIP(subject); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, subject)
		}
	}
	if len(subjects) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	if by == nil {
		template.IsCA, template.BasicConstraintsValid = true, true
		template.KeyUsage |= x509.KeyUsageCertSign
		template.ExtKeyUsage = nil
		by = &pair{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, &key.PublicKey, by.key)
	if err != nil {
		m.err = err
		return pair{}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		m.err = err
		return pair{}
	}
	m.write(name+".crt", pemOf("CERTIFICATE", der))
	m.write(name+".key", m.keyOf(key))
	return pair{cert, key}
}

func (m *maker) serviceAccountKey() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		m.err = err
		return
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		m.err = err
		return
	}
	m.write("service-account.key", m.keyOf(key))
	m.write("service-account.pub", pemOf("PUBLIC KEY", public))
}

// kubeconfig holds everything itself, so that the file can be moved; it is JSON, which the driver can read too.
func (m *maker) kubeconfig(name, server string, ca, client pair) {
	if m.err != nil {
		return
	}
	m.write(name+".kubeconfig", fmt.Appendf(nil, `{
 "apiVersion": "v1", "kind": "Config", "current-context": "box",
 "clusters": [{"name": "box", "cluster": {"server": %q, "certificate-authority-data": %q}}],
 "users": [{"name": "box", "user": {"client-certificate-data": %q, "client-key-data": %q}}],
 "contexts": [{"name": "box", "context": {"cluster": "box", "user": "box"}}]
}
`, server, base64.StdEncoding.EncodeToString(pemOf("CERTIFICATE", ca.cert.Raw)),
		base64.StdEncoding.EncodeToString(pemOf("CERTIFICATE", client.cert.Raw)),
		base64.StdEncoding.EncodeToString(m.keyOf(client.key))))
}

func (m *maker) keyOf(key *ecdsa.PrivateKey) []byte {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil && m.err == nil {
		m.err = err
	}
	return pemOf("EC PRIVATE KEY", der)
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func (m *maker) write(name string, content []byte) {
	if m.err == nil {
		m.err = os.WriteFile(filepath.Join(m.folder, name), content, 0o600)
	}
}
