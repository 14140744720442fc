package receipt

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"assent/internal/consent"
	"assent/internal/i18n"
	"assent/internal/link"
)

// Schema names the form of Document; templates/schema has it as JSON Schema.
const Schema = "urn:assent:consent-receipt:1"

// Profile is the profile of DPV that a document conforms to.
const Profile = "https://w3id.org/dpv/schema/dpv-27560#receipt-eu-gdpr"

// Document is a receipt for machines: the keys of the Kantara Consent Receipt
// v1.1 at its top, the fields of ISO/IEC TS 27560 below record and events, and
// what opens the log's entry below ledger.
type Document struct {
	Context    map[string]any `json:"@context"`
	ConformsTo string         `json:"conformsTo"`
	Schema     string         `json:"schema"`

	Version          string       `json:"version"`
	Jurisdiction     string       `json:"jurisdiction"`
	ConsentTimestamp int64        `json:"consentTimestamp"` // Unix seconds
	CollectionMethod string       `json:"collectionMethod"`
	ConsentReceiptID string       `json:"consentReceiptID"`
	Language         string       `json:"language"`
	PIIPrincipalID   string       `json:"piiPrincipalId"`
	PIIControllers   []Controller `json:"piiControllers"`
	PolicyURL        string       `json:"policyUrl"`
	Services         []Service    `json:"services"`
	Sensitive        bool         `json:"sensitive"`
	SpiCat           []string     `json:"spiCat"`

	ReceiptID      string  `json:"receipt_id"`
	Created        string  `json:"created"`
	Record         Record  `json:"record"`
	Events         []Event `json:"events"`
	WordingText    string  `json:"wording_text"`
	WordingEvent   string  `json:"wording_event,omitempty"` // whose words they are, where not the event's own
	WithdrawURL    string  `json:"withdraw_url,omitempty"`
	ReceiptURL     string  `json:"receipt_url,omitempty"` // none in the brand's copy
	EvidenceErased bool    `json:"evidence_erased"`
	Ledger         Ledger  `json:"ledger"`
}

// Controller is one of Kantara's piiControllers.
type Controller struct {
	Name    string  `json:"piiController"`
	Contact string  `json:"contact"`
	Address Address `json:"address"`
	Email   string  `json:"email"`
	Phone   string  `json:"phone"` // Kantara wants the key; a brand has none
	URL     string  `json:"piiControllerUrl,omitempty"`
}

// Address is postal.
type Address struct {
	Street  string `json:"streetAddress"`
	Country string `json:"addressCountry"`
}

// Service is one of Kantara's services.
type Service struct {
	Service  string    `json:"service"`
	Purposes []Purpose `json:"purposes"`
}

// Purpose is one of Kantara's purposes.
type Purpose struct {
	Purpose              string   `json:"purpose"`
	PurposeCategory      []string `json:"purposeCategory"`
	ConsentType          string   `json:"consentType"`
	PIICategory          []string `json:"piiCategory"`
	PrimaryPurpose       bool     `json:"primaryPurpose"`
	Termination          string   `json:"termination"`
	ThirdPartyDisclosure bool     `json:"thirdPartyDisclosure"`
}

// Record is the record of ISO/IEC TS 27560.
type Record struct {
	SchemaVersion       string         `json:"schema_version"`
	RecordID            string         `json:"record_id"`
	PIIPrincipalID      string         `json:"pii_principal_id"`
	PrivacyNotice       string         `json:"privacy_notice"`
	Language            string         `json:"language"`
	Purposes            []IsoPurpose   `json:"purposes"`
	PIIInformation      []PII          `json:"pii_information"`
	PIIControllers      []string       `json:"pii_controllers"`
	Parties             []Party        `json:"party_identification"`
	CollectionMethod    string         `json:"collection_method"`
	StorageLocations    []string       `json:"storage_locations"`
	RetentionPeriod     string         `json:"retention_period"`
	Service             string         `json:"service"`
	Jurisdiction        string         `json:"jurisdiction"`
	RecipientThirdParty []string       `json:"recipient_third_parties"`
	WithdrawalMethod    string         `json:"withdrawal_method"`
	PrivacyRights       []string       `json:"privacy_rights"`
	AuthorityParty      string         `json:"authority_party"`
	Collection          map[string]any `json:"collection,omitempty"` // page, form and version, by which it was asked and confirmed
}

// IsoPurpose is what was agreed to.
type IsoPurpose struct {
	ID          string `json:"purpose_id"`
	Purpose     string `json:"purpose"`
	Type        string `json:"purpose_type"` // of DPV
	LawfulBasis string `json:"lawful_basis"`
	PromiseMax  int    `json:"promise_max,omitempty"`
	PromiseDays int    `json:"promise_days,omitempty"`
}

// PII is a kind of personal data.
type PII struct {
	Type      string `json:"pii_type"`
	Optional  bool   `json:"pii_optional"`
	Sensitive bool   `json:"sensitive"`
}

// Party is the controller.
type Party struct {
	ID      string `json:"party_id"`
	Name    string `json:"party_name"`
	Address string `json:"party_address"`
	Contact string `json:"party_contact"`
	Email   string `json:"party_email"`
	URL     string `json:"party_url,omitempty"`
	Type    string `json:"party_type"`
	Role    string `json:"party_role"`
}

// Event is an event of the record; the receipt's own is the first, what came
// after it follows.
type Event struct {
	ID         string  `json:"event_id"`
	Time       string  `json:"event_time"`
	ValidUntil *string `json:"validity_duration"`
	EntityID   string  `json:"entity_id"`
	Type       string  `json:"event_type"`
	State      string  `json:"event_state"` // of ISO/IEC TS 27560
	Method     string  `json:"method"`
}

// Ledger is what opens the log's entry. The base64 is the standard one, padded.
type Ledger struct {
	Pending    bool   `json:"pending"` // the log has not shown the event yet; ask again in a moment
	Origin     string `json:"origin,omitempty"`
	PublicKey  string `json:"public_key,omitempty"`
	Index      *int64 `json:"index,omitempty"`
	Size       int64  `json:"size,omitempty"`
	Checkpoint string `json:"checkpoint,omitempty"`
	ProofURL   string `json:"proof_url,omitempty"`
	LogURL     string `json:"log_url"`
	Leaf       []byte `json:"leaf_b64"`
	LeafSHA256 string `json:"leaf_sha256"` // the leaf's hash in the tree (RFC 6962), in hex
	Salt       []byte `json:"salt_b64,omitempty"`
	Private    []byte `json:"private_b64,omitempty"` // what the leaf commits to under the salt
}

// isoStates are the states of ISO/IEC TS 27560.
var isoStates = map[consent.State]string{
	consent.Requested: "ConsentRequested", consent.Given: "ConsentGiven", consent.Renewed: "RenewedConsentGiven", consent.Refused: "ConsentRefused",
	consent.Withdrawn: "ConsentWithdrawn", consent.Expired: "ConsentExpired", consent.Invalidated: "ConsentInvalidated",
}

const timeForm = "2006-01-02T15:04:05.000000Z"

// Document writes the receipt for machines, its sentences in the language that
// the consent was given in.
func (r Receipt) Document(urls link.URLs) Document {
	lang := r.Brand.Offers(r.Event.Language)
	l, text := i18n.For(lang), r.Brand.In(lang)
	country := r.Brand.Jurisdiction
	if country == "" {
		country = "ZZ" // CLDR: an unknown region
	}
	d := Document{
		Context: context(), ConformsTo: Profile, Schema: Schema, Version: "KI-CR-v1.1.0", Jurisdiction: country,
		ConsentTimestamp: r.Event.OccurredAt.Unix(), CollectionMethod: r.Event.Method, ConsentReceiptID: r.ID().String(), Language: r.Event.Language,
		PIIPrincipalID: r.principal(), PolicyURL: text.PrivacyURL, SpiCat: []string{}, ReceiptID: r.ID().String(), Created: r.At.UTC().Format(timeForm),
		WordingText: r.Wording, EvidenceErased: r.Evidence == nil,
		PIIControllers: []Controller{{Name: text.Name, Contact: text.SenderName, Email: r.replies(), URL: r.Brand.Website,
			Address: Address{Street: strings.ReplaceAll(text.PostalAddress, "\n", ", "), Country: country}}},
	}
	if r.Said.ID != r.Event.ID && r.Wording != "" {
		d.WordingEvent = r.Said.ID.String()
	}
	if !r.Staff {
		d.ReceiptURL = urls.Receipt(r.Event.ID)
	}
	if !r.Staff && !r.Erased() {
		d.WithdrawURL = urls.Receipt(r.Event.ID) + "#withdraw"
	}
	d.Services = []Service{r.service(l, text.Name)}
	d.Record = r.record(l, d)
	d.Record.StorageLocations = []string{urls.Base.Host}
	d.Events = append(d.Events, r.event(r.Event))
	for _, e := range r.Later() {
		d.Events = append(d.Events, r.event(e))
	}
	d.Ledger = r.ledger(urls)
	return d
}

func (r Receipt) replies() string {
	if r.Brand.ReplyTo != "" {
		return r.Brand.ReplyTo
	}
	return r.Brand.SenderEmail
}

// principal is the address that agreed, as it was then; once erased, the
// pseudonym of the log.
func (r Receipt) principal() string {
	if r.Evidence != nil && r.Evidence.Address != "" {
		return r.Evidence.Address
	}
	return r.Event.SubscriberID.String()
}

func (r Receipt) topic(lang string) string { return r.Topic.In(r.Brand, lang).Name }

func (r Receipt) tracks() bool { return r.Topic.Purpose != consent.Marketing }

func (r Receipt) service(l *i18n.Localizer, brand string) Service {
	p := Purpose{Purpose: r.topic(l.Lang()), PurposeCategory: []string{"Marketing"}, ConsentType: "EXPLICIT", PIICategory: []string{"Contact"}, PrimaryPurpose: true,
		Termination: l.T("receipt.document.termination")}
	if r.Event.Basis != consent.BasisExplicit {
		p.ConsentType = "IMPLICIT"
	}
	if r.tracks() {
		p.PurposeCategory, p.PIICategory, p.PrimaryPurpose = []string{"Measurement"}, []string{"Contact", "Behavioural"}, false
	}
	if r.Event.ValidUntil != nil {
		p.Termination = l.T("receipt.document.termination-on", "Date", r.Event.ValidUntil.UTC().Format(time.DateOnly))
	}
	return Service{Service: l.T("receipt.document.service", "Brand", brand), Purposes: []Purpose{p}}
}

func (r Receipt) record(l *i18n.Localizer, d Document) Record {
	c := d.PIIControllers[0]
	kind := "dpv:DirectMarketing"
	pii := []PII{{Type: "dpv:EmailAddress"}, {Type: "dpv:Name", Optional: true}}
	if r.tracks() {
		kind, pii = "dpv:ServiceUsageAnalytics", append(pii, PII{Type: "dpv:ServiceUsage", Optional: true})
	}
	basis := "dpv:Consent"
	if r.Event.Basis == consent.BasisImpliedPurchase || r.Event.Basis == consent.BasisImpliedInquiry {
		basis = "dpv:ImpliedConsent"
	}
	record := Record{
		SchemaVersion: "1", RecordID: consent.RecordID(r.Event.SubscriberID, r.Event.TopicID).String(), PIIPrincipalID: r.Event.SubscriberID.String(),
		PrivacyNotice: d.PolicyURL, Language: d.Language, PIIInformation: pii, PIIControllers: []string{r.Brand.ID.String()}, CollectionMethod: d.CollectionMethod,
		Purposes: []IsoPurpose{{ID: r.Topic.ID.String(), Purpose: r.topic(l.Lang()), Type: kind, LawfulBasis: basis, PromiseMax: r.Event.PromiseMax, PromiseDays: r.Event.PromiseDays}},
		Parties: []Party{{ID: r.Brand.ID.String(), Name: c.Name, Address: c.Address.Street, Contact: c.Contact, Email: c.Email, URL: c.URL,
			Type: "dpv:LegalEntity", Role: "dpv:DataController"}},
		RetentionPeriod: l.T("receipt.document.retention"), Service: d.Services[0].Service, Jurisdiction: d.Jurisdiction, RecipientThirdParty: []string{},
		WithdrawalMethod: l.T("receipt.document.withdrawal"), AuthorityParty: l.T("receipt.document.authority"), Collection: map[string]any{},
		PrivacyRights: []string{"dpv:gdpr:A15", "dpv:gdpr:A16", "dpv:gdpr:A17", "dpv:gdpr:A18", "dpv:gdpr:A20", "dpv:gdpr:A21", "dpv:gdpr:A7-3", "dpv:gdpr:A77"},
	}
	for i, right := range record.PrivacyRights {
		record.PrivacyRights[i] = "https://w3id.org/dpv/legal/eu/gdpr#" + strings.TrimPrefix(right, "dpv:gdpr:")
	}
	if r.Event.FormID != nil {
		record.Collection["form_id"], record.Collection["form_version"] = r.Event.FormID.String(), r.Event.FormVersion
	}
	if r.stated() {
		if r.Evidence != nil {
			record.Collection["stated"] = r.Evidence.Evidence
		}
		return record
	}
	for _, name := range []string{"page", "asked_at", "ip", "confirmed_at", "confirm_ip"} {
		if v := r.Text(name); v != "" {
			record.Collection[name] = v
		}
	}
	if d := r.Delay(); d > 0 {
		record.Collection["delay_s"] = d.Seconds()
	}
	return record
}

func (r Receipt) event(e consent.Event) Event {
	x := Event{ID: e.ID.String(), Time: e.OccurredAt.UTC().Format(timeForm), EntityID: r.Event.SubscriberID.String(), Type: e.Basis, State: isoStates[e.State], Method: e.Method}
	if entity, err := e.Entity(); err == nil && entity != consent.EntitySubject {
		x.EntityID = r.Brand.ID.String()
	}
	if e.ValidUntil != nil {
		until := e.ValidUntil.UTC().Format(timeForm)
		x.ValidUntil = &until
	}
	return x
}

func (r Receipt) ledger(urls link.URLs) Ledger {
	hash := r.LeafHash()
	g := Ledger{Pending: r.Proof == nil, LogURL: urls.Page("/log"), Leaf: r.Event.Leaf, LeafSHA256: hex.EncodeToString(hash[:])}
	if p := r.Proof; p != nil {
		g.Origin, g.PublicKey, g.Index, g.Size, g.Checkpoint = p.Log.Origin, p.Log.Verifier, &p.Index, p.Size, p.Checkpoint
		if !r.Staff {
			g.ProofURL = urls.Receipt(r.Event.ID) + ".tlog-proof"
		}
	}
	if r.Evidence != nil {
		g.Salt, g.Private = r.Evidence.Salt, r.Evidence.Private
	}
	return g
}

// LeafHash is the hash of the event's leaf in the tree (RFC 6962 §2.1).
func (r Receipt) LeafHash() [sha256.Size]byte { return LeafHash(r.Event.Leaf) }

// LeafHash is the hash of a leaf in the tree (RFC 6962 §2.1).
func LeafHash(leaf []byte) [sha256.Size]byte {
	return sha256.Sum256(append([]byte{0}, leaf...))
}

// JSON is the document as a file, for people to read too.
func (r Receipt) JSON(urls link.URLs) ([]byte, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(r.Document(urls))
	return []byte(b.String()), err
}

// FileName is what the receipt's files are called, without their ending.
func (r Receipt) FileName() string {
	return "consent-" + r.Topic.Slug + "-" + r.Event.OccurredAt.UTC().Format(time.DateOnly) + "-" + r.ID().String()[:8]
}

// context maps the keys onto DPV and Dublin Core, for readers of JSON-LD.
func context() map[string]any {
	return map[string]any{
		"dpv": "https://w3id.org/dpv#", "dct": "http://purl.org/dc/terms/", "xsd": "http://www.w3.org/2001/XMLSchema#",
		"conformsTo": map[string]any{"@id": "dct:conformsTo", "@type": "@id"}, "receipt_id": "dct:identifier",
		"created": map[string]any{"@id": "dct:created", "@type": "xsd:dateTime"}, "language": "dct:language",
		"record": "dpv:hasRecordOfActivity", "record_id": "dct:identifier", "pii_principal_id": "dpv:hasDataSubject",
		"privacy_notice": map[string]any{"@id": "dpv:hasNotice", "@type": "@id"}, "policyUrl": map[string]any{"@id": "dpv:hasNotice", "@type": "@id"},
		"purposes": "dpv:hasPurpose", "purpose": "dct:title", "purpose_type": map[string]any{"@id": "@type", "@type": "@vocab"},
		"lawful_basis": map[string]any{"@id": "dpv:hasLegalBasis", "@type": "@vocab"}, "pii_information": "dpv:hasPersonalData",
		"pii_controllers": "dpv:hasDataController", "piiControllers": "dpv:hasDataController", "collection_method": "dpv:hasDataSource",
		"storage_locations": "dpv:hasLocation", "retention_period": "dpv:hasDuration", "service": "dpv:hasService", "jurisdiction": "dpv:hasJurisdiction",
		"recipient_third_parties": "dpv:hasRecipient", "withdrawal_method": "dpv:hasConsentControl", "privacy_rights": map[string]any{"@id": "dpv:hasRight", "@type": "@id"},
		"authority_party": "dpv:hasAuthority", "party_name": "dpv:hasName", "party_address": "dpv:hasAddress", "party_contact": "dpv:hasContact",
		"event_time": map[string]any{"@id": "dct:date", "@type": "xsd:dateTime"}, "validity_duration": "dct:valid", "entity_id": "dpv:isImplementedByEntity",
		"event_state": "dpv:hasConsentStatus", "wording_text": "dct:description",
	}
}
