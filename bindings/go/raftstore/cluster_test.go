// Three nodes of raft in one process, each on a store of its own, of which one after the other is lost and comes back
// from what its store has. Nothing that the cluster acknowledged may be gone, and all nodes end up alike.
package raftstore_test

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// machine keeps every command that was applied.
type machine struct {
	lock    sync.Mutex
	grown   *sync.Cond
	applied []string
}

func newMachine() *machine {
	m := &machine{}
	m.grown = sync.NewCond(&m.lock)
	return m
}

func (m *machine) Apply(log *raft.Log) any {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.applied = append(m.applied, string(log.Data))
	m.grown.Broadcast()
	return nil
}

// waitFor returns what was applied once there are as many commands.
func (m *machine) waitFor(count int) []string {
	m.lock.Lock()
	defer m.lock.Unlock()
	for len(m.applied) < count {
		m.grown.Wait()
	}
	return append([]string(nil), m.applied...)
}

type image []byte

func (m *machine) Snapshot() (raft.FSMSnapshot, error) {
	m.lock.Lock()
	defer m.lock.Unlock()
	var all bytes.Buffer
	for _, command := range m.applied {
		fmt.Fprintln(&all, command)
	}
	return image(all.Bytes()), nil
}

func (i image) Persist(sink raft.SnapshotSink) error {
	if _, err := sink.Write(i); err != nil {
		return err
	}
	return sink.Close()
}

func (i image) Release() {}

func (m *machine) Restore(from io.ReadCloser) error {
	all, err := io.ReadAll(from)
	if err != nil {
		return err
	}
	m.lock.Lock()
	defer m.lock.Unlock()
	m.applied = nil
	for _, line := range bytes.Split(bytes.TrimSuffix(all, []byte("\n")), []byte("\n")) {
		if len(all) > 0 {
			m.applied = append(m.applied, string(line))
		}
	}
	m.grown.Broadcast()
	return nil
}

type node struct {
	address   raft.ServerAddress
	raft      *raft.Raft
	machine   *machine
	transport *raft.InmemTransport
	closed    func() error
	leading   chan bool
}

type cluster struct {
	t         testing.TB
	kind      kind
	folder    string
	snapshots [3]*raft.InmemSnapshotStore
	nodes     [3]*node
	leaders   chan *node
}

func newCluster(t testing.TB, kind kind) *cluster {
	c := &cluster{t: t, kind: kind, folder: t.TempDir(), leaders: make(chan *node, 1000)}
	for i := range c.nodes {
		c.snapshots[i] = raft.NewInmemSnapshotStore()
		c.start(i)
	}
	var servers []raft.Server
	for _, n := range c.nodes {
		servers = append(servers, raft.Server{ID: raft.ServerID(n.address), Address: n.address})
	}
	must(t, c.nodes[0].raft.BootstrapCluster(raft.Configuration{Servers: servers}).Error())
	return c
}

// start brings a node up from what its store has, and connects it with those that are up.
func (c *cluster) start(i int) {
	n := &node{machine: newMachine(), leading: make(chan bool, 100)}
	n.address, n.transport = raft.NewInmemTransport(raft.ServerAddress(fmt.Sprint("node ", i)))
	store, closed := c.kind.open(c.t, filepath.Join(c.folder, fmt.Sprint(i)))
	n.closed = closed
	config := raft.DefaultConfig()
	config.LocalID = raft.ServerID(n.address)
	config.HeartbeatTimeout, config.ElectionTimeout = 300*time.Millisecond, 300*time.Millisecond
	config.LeaderLeaseTimeout, config.CommitTimeout = 200*time.Millisecond, 5*time.Millisecond
	config.SnapshotThreshold, config.TrailingLogs = 1<<30, 50
	config.Logger = hclog.NewNullLogger()
	config.NotifyCh = n.leading
	for _, other := range c.nodes {
		if other != nil {
			n.transport.Connect(other.address, other.transport)
			other.transport.Connect(n.address, n.transport)
		}
	}
	var err error
	n.raft, err = raft.NewRaft(config, n.machine, store, store, c.snapshots[i], n.transport)
	must(c.t, err)
	c.nodes[i] = n
	go func() {
		for leads := range n.leading {
			if leads {
				c.leaders <- n
			}
		}
	}()
}

// lose ends a node: the others can't reach it, and only its store is left.
func (c *cluster) lose(i int) {
	n := c.nodes[i]
	c.nodes[i] = nil
	n.transport.DisconnectAll()
	for _, other := range c.nodes {
		if other != nil {
			other.transport.Disconnect(n.address)
		}
	}
	must(c.t, n.raft.Shutdown().Error())
	close(n.leading)
	must(c.t, n.closed())
}

// leader is a node that leads; each change of the leader is told once, and the newest one that still leads counts.
func (c *cluster) leader() *node {
	for _, n := range c.nodes {
		if n != nil && n.raft.State() == raft.Leader && n.raft.VerifyLeader().Error() == nil {
			return n
		}
	}
	for n := range c.leaders {
		if n.raft.State() == raft.Leader && n.raft.VerifyLeader().Error() == nil {
			return n
		}
	}
	panic("the channel is never closed")
}

func (c *cluster) indexOf(n *node) int {
	for i := range c.nodes {
		if c.nodes[i] == n {
			return i
		}
	}
	return -1
}

func (c *cluster) stop() {
	for i, n := range c.nodes {
		if n != nil {
			c.lose(i)
		}
	}
}

func TestAClusterLosesAndRegainsNodesAndForgetsNothing(t *testing.T) {
	c := newCluster(t, mine)
	defer c.stop()
	var acknowledged []string
	apply := func(count int) {
		for range count {
			command := fmt.Sprint("command ", len(acknowledged))
			// An Apply that fails is in doubt, and none should: the leader is not disturbed while commands are applied.
			must(t, c.leader().raft.Apply([]byte(command), 0).Error())
			acknowledged = append(acknowledged, command)
		}
	}
	alike := func() {
		for i, n := range c.nodes {
			got := n.machine.waitFor(len(acknowledged))
			if fmt.Sprint(got) != fmt.Sprint(acknowledged) {
				t.Fatalf("node %d applied %d commands, acknowledged are %d", i, len(got), len(acknowledged))
			}
		}
	}
	apply(50)
	alike()
	for round := range 6 {
		leader := c.indexOf(c.leader())
		lost := leader
		if round%2 == 1 {
			lost = (leader + 1) % 3
		}
		c.lose(lost)
		apply(40)
		if round == 3 { // the one that comes back finds that the log it would need was cut off
			c.snapshot()
		}
		c.start(lost)
		apply(10)
		alike()
	}
	// All of them at once: the cluster is what its stores have.
	for i := range c.nodes {
		c.lose(i)
	}
	for i := range c.nodes {
		c.start(i)
	}
	apply(10)
	alike()
}

func (c *cluster) snapshot() {
	for _, n := range c.nodes {
		if n != nil {
			must(c.t, n.raft.Snapshot().Error())
		}
	}
}

// Commits per second of a cluster of three, whose stores all sync.
func BenchmarkCluster(b *testing.B) {
	for _, kind := range []kind{mine, bolt} {
		for _, clients := range []int{1, 64} {
			b.Run(fmt.Sprintf("%d_clients/%s", clients, kind.name), func(b *testing.B) {
				c := newCluster(b, kind)
				leader := c.leader()
				command := bytes.Repeat([]byte("x"), 256)
				b.ResetTimer()
				var group sync.WaitGroup
				for client := range clients {
					group.Add(1)
					go func() {
						defer group.Done()
						for i := client; i < b.N; i += clients {
							if err := leader.raft.Apply(command, 0).Error(); err != nil {
								b.Error(err)
								return
							}
						}
					}()
				}
				group.Wait()
				b.StopTimer()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
				c.stop()
			})
		}
	}
}
