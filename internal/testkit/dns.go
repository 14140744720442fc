package testkit

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// NameServer answers on loopback what a test says of names. It knows all there
// is: a name without records does not exist.
type NameServer struct {
	Addr string // as in ASSENT_DNS

	mu     sync.Mutex
	zone   map[string][]dnsmessage.ResourceBody // name in small letters with its dot → records
	broken map[string]bool
	asked  map[string]int
}

// plainUDP is the longest answer that is sent in one packet.
const plainUDP = 1232

// DNS starts a name server that ends with the test.
func DNS(tb testing.TB) *NameServer {
	tb.Helper()
	n := &NameServer{zone: map[string][]dnsmessage.ResourceBody{}, broken: map[string]bool{}, asked: map[string]int{}}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { tcp.Close() })
	n.Addr = tcp.Addr().String()
	udp, err := net.ListenPacket("udp", n.Addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { udp.Close() })
	go n.serveTCP(tcp)
	go n.serveUDP(udp)
	return n
}

// MX says where a domain takes its mail: "10 mx.example.org", …; "0 ." is nowhere.
func (n *NameServer) MX(domain string, exchangers ...string) {
	var records []dnsmessage.ResourceBody
	for _, one := range exchangers {
		var pref uint16
		var host string
		if _, err := fmt.Sscan(one, &pref, &host); err != nil {
			panic("an MX is a preference and a host, not " + one)
		}
		records = append(records, &dnsmessage.MXResource{Pref: pref, MX: dnsName(host)})
	}
	n.add(domain, records)
}

// Host gives a host its addresses of either kind.
func (n *NameServer) Host(host string, addrs ...string) {
	var records []dnsmessage.ResourceBody
	for _, one := range addrs {
		if ip := netip.MustParseAddr(one); ip.Is4() {
			records = append(records, &dnsmessage.AResource{A: ip.As4()})
		} else {
			records = append(records, &dnsmessage.AAAAResource{AAAA: ip.As16()})
		}
	}
	n.add(host, records)
}

// TXT gives a name its texts; a long one is cut into strings of 255 bytes.
func (n *NameServer) TXT(name string, texts ...string) {
	var records []dnsmessage.ResourceBody
	for _, one := range texts {
		var parts []string
		for len(one) > 255 {
			parts, one = append(parts, one[:255]), one[255:]
		}
		records = append(records, &dnsmessage.TXTResource{TXT: append(parts, one)})
	}
	n.add(name, records)
}

// PTR gives an IPv4 address its names.
func (n *NameServer) PTR(addr string, names ...string) {
	ip := netip.MustParseAddr(addr).As4()
	var records []dnsmessage.ResourceBody
	for _, one := range names {
		records = append(records, &dnsmessage.PTRResource{PTR: dnsName(one)})
	}
	n.add(fmt.Sprintf("%d.%d.%d.%d.in-addr.arpa", ip[3], ip[2], ip[1], ip[0]), records)
}

// Break makes every question about a name end in SERVFAIL; Clear mends it.
func (n *NameServer) Break(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.broken[zoneKey(name)] = true
}

// Clear forgets a name.
func (n *NameServer) Clear(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.zone, zoneKey(name))
	delete(n.broken, zoneKey(name))
}

// Asked counts the questions about a name.
func (n *NameServer) Asked(name string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked[zoneKey(name)]
}

func (n *NameServer) add(name string, records []dnsmessage.ResourceBody) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.zone[zoneKey(name)] = append(n.zone[zoneKey(name)], records...)
}

func zoneKey(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) + "." }

func dnsName(host string) dnsmessage.Name {
	return dnsmessage.MustNewName(strings.TrimSuffix(host, ".") + ".")
}

func (n *NameServer) serveUDP(conn net.PacketConn) {
	packet := make([]byte, 4096)
	for {
		size, from, err := conn.ReadFrom(packet)
		if err != nil {
			return
		}
		if answer := n.answer(packet[:size], plainUDP); answer != nil {
			_, _ = conn.WriteTo(answer, from) // who gets none asks again
		}
	}
}

func (n *NameServer) serveTCP(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			var size [2]byte
			if _, err := io.ReadFull(conn, size[:]); err != nil {
				return
			}
			packet := make([]byte, binary.BigEndian.Uint16(size[:]))
			if _, err := io.ReadFull(conn, packet); err != nil {
				return
			}
			answer := n.answer(packet, 1<<16-1)
			_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
		}()
	}
}

// answer builds the reply to one packet, cut short where it is longer than most.
func (n *NameServer) answer(packet []byte, most int) []byte {
	var p dnsmessage.Parser
	head, err := p.Start(packet)
	if err != nil {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: head.ID, Response: true, Authoritative: true, RecursionAvailable: true, RecursionDesired: head.RecursionDesired},
		Questions: []dnsmessage.Question{q},
	}
	reply.RCode, reply.Answers = n.look(q)
	raw, err := reply.Pack()
	if err == nil && len(raw) > most {
		reply.Truncated, reply.Answers = true, nil
		raw, err = reply.Pack()
	}
	if err != nil {
		return nil
	}
	return raw
}

func (n *NameServer) look(q dnsmessage.Question) (dnsmessage.RCode, []dnsmessage.Resource) {
	n.mu.Lock()
	defer n.mu.Unlock()
	name := zoneKey(q.Name.String())
	n.asked[name]++
	records, known := n.zone[name]
	switch {
	case n.broken[name]:
		return dnsmessage.RCodeServerFailure, nil
	case !known:
		return dnsmessage.RCodeNameError, nil
	}
	var found []dnsmessage.Resource
	for _, body := range records {
		if kindOf(body) == q.Type {
			found = append(found, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 60}, Body: body})
		}
	}
	return dnsmessage.RCodeSuccess, found
}

func kindOf(body dnsmessage.ResourceBody) dnsmessage.Type {
	switch body.(type) {
	case *dnsmessage.AResource:
		return dnsmessage.TypeA
	case *dnsmessage.AAAAResource:
		return dnsmessage.TypeAAAA
	case *dnsmessage.MXResource:
		return dnsmessage.TypeMX
	case *dnsmessage.TXTResource:
		return dnsmessage.TypeTXT
	default:
		return dnsmessage.TypePTR
	}
}
