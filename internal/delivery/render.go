package delivery

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/compose"
	"assent/internal/consent"
	"assent/internal/i18n"
	"assent/internal/link"
	"assent/internal/store"
)

// Renderer turns message rows into mails.
type Renderer struct {
	DB   *store.DB
	URLs link.URLs

	mu       sync.Mutex
	letters  map[letterKey]*compose.Compiled
	senders  map[uuid.UUID]*sender
	freshFor time.Duration
}

type letterKey struct {
	content  uuid.UUID
	language string
}

// sender is what a brand's mails have in common.
type sender struct {
	brand.Brand
	from    string // as MAIL FROM takes it
	signers compose.Signers
	topics  map[uuid.UUID]map[string]consent.TopicText

	mu      sync.Mutex
	read    time.Time
	reading bool // somebody is looking whether it has changed
	frames  map[frameKey]*compose.Frame
	shared  map[frameKey]sharedURLs
}

// frameKey tells the mails that share a frame: all but the brand's own data.
type frameKey struct {
	letterKey
	stream, topic uuid.UUID
}

const (
	maxLetters = 500
	maxFrames  = 100
	senderAge  = 2 * time.Second // a changed brand or key is seen after so long
)

// NewRenderer makes one; it keeps compiled texts and brands for a while.
func NewRenderer(db *store.DB, urls link.URLs) *Renderer {
	return &Renderer{DB: db, URLs: urls, letters: map[letterKey]*compose.Compiled{}, senders: map[uuid.UUID]*sender{}, freshFor: senderAge}
}

// sender gives a brand with its signing keys. When it is old, one caller looks
// whether it has changed, and the others go on with what there is.
func (r *Renderer) sender(ctx context.Context, brandID uuid.UUID) (*sender, error) {
	r.mu.Lock()
	old := r.senders[brandID]
	r.mu.Unlock()
	if old != nil && !old.lookAgain(r.freshFor) {
		return old, nil
	}
	if old != nil {
		defer old.looked()
	}
	var s *sender
	err := r.DB.Read(ctx, func(tx *store.Tx) (err error) {
		s, err = readSender(tx, brandID)
		return err
	})
	if err == nil && old != nil && old.same(s) {
		s = old
	}
	if err != nil {
		return nil, fmt.Errorf("read the sender: %w", err)
	}
	r.mu.Lock()
	r.senders[brandID] = s
	r.mu.Unlock()
	return s, nil
}

func (s *sender) lookAgain(after time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reading || time.Since(s.read) < after {
		return false
	}
	s.reading = true
	return true
}

func (s *sender) looked() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading, s.read = false, time.Now()
}

// same reports that nothing has changed that a mail shows, so frames stay right.
func (s *sender) same(o *sender) bool {
	return reflect.DeepEqual(s.Brand, o.Brand) && reflect.DeepEqual(s.topics, o.topics) && reflect.DeepEqual(s.signers, o.signers)
}

// frame gives the frame of a message's mails, built at the first of them.
func (s *sender) frame(l *compose.Compiled, m *claimed, env compose.Envelope) (*compose.Frame, error) {
	key := frameKey{letterKey{*m.ContentID, m.Language}, m.StreamID, uuid.Nil}
	if m.TopicID != nil {
		key.topic = *m.TopicID
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.frames[key]; ok {
		return f, nil
	}
	f, err := l.Frame(env)
	if err != nil {
		return nil, err
	}
	if len(s.frames) >= maxFrames || s.frames == nil {
		s.frames = map[frameKey]*compose.Frame{}
	}
	s.frames[key] = f
	return f, nil
}

func readSender(tx *store.Tx, brandID uuid.UUID) (*sender, error) {
	b, err := brand.Find(tx, brandID)
	if err != nil {
		return nil, err
	}
	s := &sender{Brand: b, read: time.Now(), topics: map[uuid.UUID]map[string]consent.TopicText{}}
	if s.from, err = compose.ASCIIAddress(b.SenderEmail); err != nil {
		return nil, err
	}
	topics, err := consent.AllTopics(tx, brandID)
	if err != nil {
		return nil, err
	}
	for _, t := range topics {
		s.topics[t.ID] = t.Texts
	}
	keys, err := brand.SigningKeys(tx, s.Brand)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		private, err := compose.ParseKey(k.PrivateKey)
		if err != nil {
			return nil, err
		}
		s.signers = append(s.signers, &compose.Signer{Domain: k.Domain, Selector: k.Selector, Key: private})
	}
	return s, nil
}

// letter reads and compiles a text. Texts never change, so it is kept.
func (r *Renderer) letter(ctx context.Context, contentID uuid.UUID, language string) (*compose.Compiled, error) {
	key := letterKey{contentID, language}
	r.mu.Lock()
	l, ok := r.letters[key]
	r.mu.Unlock()
	if ok {
		return l, nil
	}
	var c content
	err := r.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Where("id = ? AND language = ?", contentID, language).Take(&c).Error
	})
	if err != nil {
		return nil, fmt.Errorf("read the text of a message: %w", err)
	}
	if l, err = compose.Compile(c.source()); err != nil {
		return nil, fmt.Errorf("compile the text of a message: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.letters) >= maxLetters {
		clear(r.letters)
	}
	r.letters[key] = l
	return l, nil
}

// parcel is the mail for a claimed message, signed where the brand has a key. It
// is written to room, where that is enough.
func (r *Renderer) parcel(ctx context.Context, m *claimed, room []byte) (parcel, error) {
	s, err := r.sender(ctx, m.BrandID)
	if err != nil {
		return parcel{}, err
	}
	env := r.envelope(s, m)
	to, err := compose.ASCIIAddress(env.To.Email)
	if err != nil {
		return parcel{}, err
	}
	raw, err := r.write(ctx, s, m, env, room[:0])
	if err != nil {
		return parcel{}, err
	}
	if len(s.signers) > 0 {
		if raw, err = s.signers.Sign(raw); err != nil {
			return parcel{}, err
		}
	}
	return parcel{from: s.from, to: to, raw: raw}, nil
}

func (r *Renderer) write(ctx context.Context, s *sender, m *claimed, env compose.Envelope, room []byte) ([]byte, error) {
	if m.Template != "" {
		data, err := r.systemData(m.Message)
		if err != nil {
			return nil, err
		}
		return compose.System(m.Template, m.Language, env, data)
	}
	l, err := r.letter(ctx, *m.ContentID, m.Language)
	if err != nil {
		return nil, err
	}
	f, err := s.frame(l, m, env)
	if err != nil {
		return nil, err
	}
	return f.Append(room, env, r.values(s.Brand, m, env))
}

// messageID stays the same at every try (RFC 5322 §3.6.4).
func messageID(m *claimed, domain string) string { return m.MessageID(domain) }

// MessageID is the name in the mail's header, as logs of mail servers show it,
// without angle brackets; domain is the sender's.
func (m Message) MessageID(domain string) string {
	return strings.ReplaceAll(m.ID.String(), "-", "") + "@" + domain
}

func (r *Renderer) envelope(s *sender, m *claimed) compose.Envelope {
	in := s.In(m.Language)
	env := compose.Envelope{
		From:      compose.Address{Name: in.SenderName, Email: s.SenderEmail},
		To:        compose.Address{Name: m.Name, Email: m.to()},
		MessageID: messageID(m, s.SenderDomain()),
		Date:      r.DB.Now().In(m.location(s.Location())),
		Language:  m.Language,
		Brand:     compose.Brand{Name: in.Name, PostalAddress: in.PostalAddress, Website: s.Website, PrivacyURL: in.PrivacyURL},
	}
	if s.LogoHash != "" {
		env.Brand.Logo.URL = r.URLs.Logo(s.LogoHash)
		env.Brand.Logo.Width, env.Brand.Logo.Height = s.LogoSize()
	}
	if s.ReplyTo != "" {
		env.ReplyTo = compose.Address{Name: in.SenderName, Email: s.ReplyTo}
	}
	if m.Kind != Marketing {
		return env
	}
	ref := m.Ref()
	if m.TopicID != nil {
		env.Topic = s.topics[*m.TopicID][m.Language].Name
		if env.Topic == "" {
			env.Topic = s.topics[*m.TopicID][s.Language].Name
		}
		env.ListID = m.TopicID.String() + "." + s.SenderDomain()
	}
	env.Leave, env.Why, env.View = r.URLs.Leave(ref), r.URLs.Why(ref), r.URLs.View(ref)
	env.Preferences = r.URLs.Preferences(m.BrandID, *m.SubscriberID)
	env.OneClick, env.Bulk = r.URLs.HTTPS(), true
	env.FeedbackID = feedbackID(s.Brand, m)
	if m.shared && m.ContentID != nil {
		all := r.shared(s, m)
		env.PixelURL, env.Link = all.pixel, all.link
	}
	if m.TracksOpens || m.dated {
		env.PixelURL = r.URLs.Pixel(ref)
	}
	if m.TracksClicks {
		env.Link = func(n int) string { return r.URLs.Click(ref, n) }
	}
	return env
}

// sharedURLs are the pixel and the links that all mails of a text and campaign
// share, signed once.
type sharedURLs struct {
	pixel string
	link  func(n int) string
}

func (r *Renderer) shared(s *sender, m *claimed) sharedURLs {
	key := frameKey{letterKey: letterKey{*m.ContentID, m.Language}, stream: m.StreamID}
	s.mu.Lock()
	defer s.mu.Unlock()
	if u, ok := s.shared[key]; ok {
		return u
	}
	var links sync.Map // n → address
	u := sharedURLs{pixel: r.URLs.AnonymousPixel(key.stream), link: func(n int) string {
		if known, ok := links.Load(n); ok {
			return known.(string)
		}
		made := r.URLs.AnonymousClick(link.Shared{Stream: key.stream, Content: key.content, Language: key.language, N: n})
		links.Store(n, made)
		return made
	}}
	if len(s.shared) >= maxFrames || s.shared == nil {
		s.shared = map[frameKey]sharedURLs{}
	}
	s.shared[key] = u
	return u
}

// feedbackID names campaign, brand, kind and sender for Gmail's statistics; the
// last field is 5 to 15 characters.
func feedbackID(b brand.Brand, m *claimed) string {
	short := func(id uuid.UUID) string { return strings.ReplaceAll(id.String(), "-", "")[20:] }
	return short(m.StreamID) + ":" + b.Slug + ":" + string(m.Kind) + ":" + short(b.ID)
}

// values is what a template may name.
func (r *Renderer) values(b brand.Brand, m *claimed, env compose.Envelope) map[string]any {
	v := map[string]any{}
	for k, x := range m.Data {
		v[k] = x
	}
	delete(v, WhyKey)
	v["subscriber"] = m.person()
	v["brand"] = map[string]any{"name": env.Brand.Name, "postal_address": env.Brand.PostalAddress, "website": b.Website}
	v["topic"] = env.Topic
	v["today"] = i18n.For(m.Language).Date(env.Date, env.Date.Location())
	v["leave_url"], v["preferences_url"], v["view_url"], v["why_url"] = env.Leave, env.Preferences, env.View, env.Why
	return v
}

// View is the mail as its reader got it, as a page: same text version, same
// values, without pixel and with its links as they were written. It fails with
// problem.NotFound for what was never written for showing.
func (r *Renderer) View(ctx context.Context, m Message) ([]byte, error) {
	return r.view(ctx, m, func(*claimed) {})
}

// Show is View for the team: what only its reader may do, leaving and choosing,
// its links do for nobody.
func (r *Renderer) Show(ctx context.Context, m Message) ([]byte, error) {
	return r.view(ctx, m, func(m *claimed) {
		nobody := uuid.Nil
		m.ID, m.SourceID, m.SubscriberID = nobody, nobody, &nobody
	})
}

func (r *Renderer) view(ctx context.Context, m Message, change func(*claimed)) ([]byte, error) {
	var rows []*claimed
	err := r.DB.Read(ctx, func(tx *store.Tx) (err error) {
		rows, err = readMails(tx, m.BrandID, []*claimed{{Message: m}})
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 || rows[0].ContentID == nil {
		return nil, unknownMessage()
	}
	s, err := r.sender(ctx, m.BrandID)
	if err != nil {
		return nil, err
	}
	l, err := r.letter(ctx, *m.ContentID, m.Language)
	if err != nil {
		return nil, err
	}
	change(rows[0])
	env := r.envelope(s, rows[0])
	if m.SettledAt != nil {
		env.Date = m.SettledAt.In(rows[0].location(s.Location()))
	}
	return l.PageHTML(env, r.values(s.Brand, rows[0], env))
}
