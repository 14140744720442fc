package tracking

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/mileusna/useragent"
)

// The reasons why a hit is taken for a machine's. They are kept beside the hit,
// joined by commas; a hit without one is taken for a person's. They are counted
// and shown, and decide nothing about a permission or a way to leave.
const (
	ByHead     = "head"       // asked for the headers only
	ByPrefetch = "prefetch"   // the client says it fetches ahead of its reader
	ByScanner  = "scanner"    // a known scanner, crawler or program
	ByBare     = "bare-agent" // exactly "Mozilla/5.0", as Apple's Mail Privacy Protection sends, or no name at all
	ByInstant  = "instant"    // sooner after the mail server took the mail than a person reads
	ByBurst    = "burst"      // several links of one mail at once
)

const (
	instantWithin = 5 * time.Second // after the 250 of the mail server
	burstWithin   = 3 * time.Second
	burstLinks    = 3 // distinct ones
)

// scanners are parts of the names, in lower case, under which mail gateways,
// link previews and programs come.
var scanners = []string{
	"barracuda", "proofpoint", "urldefense", "mimecast", "safelinks", "forcepoint", "websense", "symantec", "messagelabs",
	"trend micro", "trendmicro", "fireeye", "sophos", "mailguard", "ironport", "cloudmark", "bitdefender", "kaspersky",
	"headlesschrome", "phantomjs", "puppeteer", "playwright", "selenium",
	"python-", "python/", "aiohttp", "curl/", "wget/", "go-http-client", "java/", "okhttp", "apache-httpclient", "libwww", "axios/", "node-fetch", "undici",
	"slackbot", "skypeuripreview", "whatsapp", "telegrambot", "facebookexternalhit", "linkedinbot", "bingpreview", "link preview", "urlscan", "virustotal",
}

// relays fetch an image when a person looks at the mail, so they stand for one,
// whatever else their names look like.
var relays = []string{"googleimageproxy", "yahoomailproxy"}

// prefetchers fetch what nobody has looked at yet.
var prefetchers = []string{"edge/12.246 mozilla/5.0"}

// Visitor is what a request tells about who makes it.
type Visitor struct {
	UserAgent string
	Network   string // of NetworkOf
	Head      bool   // the method was HEAD
	Prefetch  bool   // a Sec-Purpose or Purpose header named a prefetch
}

// signs gives the reasons that lie in the request itself.
func (v Visitor) signs() []string {
	var why []string
	if v.Head {
		why = append(why, ByHead)
	}
	agent := strings.ToLower(strings.TrimSpace(v.UserAgent))
	relay := containsAny(agent, relays)
	if v.Prefetch || containsAny(agent, prefetchers) {
		why = append(why, ByPrefetch)
	}
	if agent == "" || agent == "mozilla/5.0" {
		return append(why, ByBare)
	}
	if !relay && (containsAny(agent, scanners) || useragent.Parse(v.UserAgent).Bot) {
		why = append(why, ByScanner)
	}
	return why
}

func containsAny(s string, parts []string) bool {
	return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(s, p) })
}

// instant reports whether a hit came sooner than a person reads. A mail whose
// outcome is not stored yet was taken by the mail server a moment ago.
func instant(at time.Time, settled *time.Time) bool {
	return settled == nil || at.Before(settled.Add(instantWithin))
}

// step is one click of a mail, for telling a burst.
type step struct {
	at   time.Time
	link int
	hit  *call // nil: stored before this batch
}

// bursts marks the steps of one mail that belong to a burst: burstLinks or more
// distinct links within burstWithin. The result follows the order of steps,
// which are sorted by time on the way.
func bursts(steps []step) []bool {
	slices.SortStableFunc(steps, func(a, b step) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.link, b.link)) })
	marked := make([]bool, len(steps))
	from := 0
	for to := range steps {
		for steps[to].at.Sub(steps[from].at) > burstWithin {
			from++
		}
		seen := map[int]bool{}
		for _, s := range steps[from : to+1] {
			seen[s.link] = true
		}
		if len(seen) < burstLinks {
			continue
		}
		for i := from; i <= to; i++ {
			marked[i] = true
		}
	}
	return marked
}
