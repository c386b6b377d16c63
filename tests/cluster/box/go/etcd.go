package main

import (
	"flag"
	"fmt"
	"net/url"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// etcd runs one member on loopback without TLS (its network namespace is the cluster's own) and without fsync: the
// cluster never outlives its machine.
func etcd() int {
	flags := flag.NewFlagSet("etcd", flag.ExitOnError)
	folder := flags.String("data", "", "folder of the database")
	client := flags.String("client", "http://127.0.0.1:2379", "where the API server finds it")
	peer := flags.String("peer", "http://127.0.0.1:2380", "address for peers; there are none")
	_ = flags.Parse(osArgs())

	config := embed.NewConfig()
	clientURL, err := url.Parse(*client)
	if err != nil {
		return fail("etcd", err)
	}
	peerURL, err := url.Parse(*peer)
	if err != nil {
		return fail("etcd", err)
	}
	config.Dir = *folder
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{*clientURL}, []url.URL{*clientURL}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{*peerURL}, []url.URL{*peerURL}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.UnsafeNoFsync = true
	config.LogLevel = "warn"
	config.WarningUnaryRequestDuration = 500 * time.Millisecond // zero logs every request
	config.QuotaBackendBytes = 4 << 30
	config.AutoCompactionMode, config.AutoCompactionRetention = "periodic", "5m"
	server, err := embed.StartEtcd(config)
	if err != nil {
		return fail("etcd", err)
	}
	select {
	case <-server.Server.ReadyNotify():
		fmt.Println("etcd is ready")
	case <-time.After(30 * time.Second):
		server.Server.Stop()
		return fail("etcd", fmt.Errorf("not ready within 30 s"))
	}
	return fail("etcd", <-server.Err())
}
