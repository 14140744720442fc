package api

import (
	"cmp"
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"

	"assent/internal/brand"
	"assent/internal/i18n"
	"assent/internal/mailauth"
	"assent/internal/problem"
	"assent/internal/store"
	"assent/internal/web"
)

// domainCheck: what receivers see of the domain that a brand writes from.
func (h *house) domainCheck() {
	a := action{http.MethodGet, "/brand/domain-check", "checkDomain", "brands:read", "brands", "Check the sender's domain",
		"Asks the name servers, and the mail servers that take our mail, for what receivers look at: SPF, DKIM, DMARC, MX, PTR and TLS. What is not well comes with what to do, and with the record to publish where it is known. Takes up to ten seconds; what did not answer until then is unknown.",
		0, false}
	op := a.operation()
	op.Errors = append(op.Errors, http.StatusTooManyRequests)
	op.Middlewares = huma.Middlewares{h.sparingly(cmp.Or(h.Checks, web.DomainChecks()))}
	huma.Register(h.api, op, func(ctx context.Context, in *checkInput) (*answer[checkAnswer], error) {
		body, err := h.checkDomain(ctx, callerOf(ctx), in)
		return &answer[checkAnswer]{Status: statusOf(a), Body: body}, err
	})
}

// sparingly lets a brand do something only so often.
func (h *house) sparingly(l *web.Limiter) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		if wait, ok := l.Allow(callerOf(ctx.Context()).brand.ID.String(), time.Now()); !ok {
			c := humaecho.Unwrap(ctx)
			c.Error(web.TooMany(c, wait))
			return
		}
		next(ctx)
	}
}

type checkInput struct {
	Sources []string `query:"source" maxItems:"10" doc:"Addresses that the mail comes from, where they are not this installation's own: those that your relay sends from. Separated by commas." example:"192.0.2.25"`
}

type checkAnswer struct {
	Domain    string          `json:"domain" example:"north-tea.example"`
	State     string          `json:"state" enum:"ok,unknown,warning,missing,wrong" doc:"That of the finding that is worst off." example:"missing"`
	CheckedAt time.Time       `json:"checked_at" example:"2026-11-22T09:00:00Z"`
	Findings  []findingAnswer `json:"findings"`
}

type findingAnswer struct {
	Part    string     `json:"part" enum:"spf,dkim,dmarc,mx,ptr,tls" example:"dmarc"`
	State   string     `json:"state" enum:"ok,unknown,warning,missing,wrong" doc:"unknown: nobody answered, so that it may be well." example:"missing"`
	Code    string     `json:"code" doc:"For programs." example:"mailauth.dmarc.missing"`
	Detail  string     `json:"detail" doc:"For people, in the language of Accept-Language." example:"There is no DMARC record for north-tea.example. Large receivers ask for one."`
	Fix     string     `json:"fix,omitempty" doc:"What to do." example:"Publish the record; p=none changes nothing about your mail."`
	Found   []string   `json:"found,omitempty" doc:"The records as they stand, or what a server said." example:"[\"v=spf1 -all\"]"`
	Publish *dnsRecord `json:"publish,omitempty" doc:"The record to publish, where it is known."`
}

// checkDomain reads what it needs first: no transaction waits for the DNS.
func (h *house) checkDomain(ctx context.Context, c caller, in *checkInput) (checkAnswer, error) {
	var sources []netip.Addr
	for _, s := range in.Sources {
		ip, err := netip.ParseAddr(s)
		if err != nil || ip.Zone() != "" {
			return checkAnswer{}, problem.InvalidField("query/source", "api.field.address")
		}
		sources = append(sources, ip)
	}
	var sender mailauth.Sender
	err := h.DB.Read(ctx, func(tx *store.Tx) (err error) {
		sender, err = brand.MailSender(tx, c.brand)
		return err
	})
	if err != nil {
		return checkAnswer{}, err
	}
	found := h.Checker.Check(ctx, sender, sources...)
	a := checkAnswer{Domain: sender.Domain, State: string(mailauth.Worst(found)), CheckedAt: h.DB.Now(), Findings: make([]findingAnswer, len(found))}
	for i, f := range found {
		a.Findings[i] = showFinding(c.words, f)
	}
	return a, nil
}

func showFinding(words *i18n.Localizer, f mailauth.Finding) findingAnswer {
	a := findingAnswer{Part: string(f.Part), State: string(f.State), Code: f.Key, Detail: words.T(f.Key, f.Args...), Found: f.Found}
	if f.State != mailauth.OK {
		a.Fix = words.T(f.Key+".fix", f.Args...)
	}
	if f.Record != nil {
		r := showRecord(*f.Record)
		a.Publish = &r
	}
	return a
}
