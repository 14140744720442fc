package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"assent/internal/brand"
	"assent/internal/mailauth"
	"assent/internal/store"
)

// dkimKeys: what signs the brand's mail. A key is made, its record published,
// and then it is activated in place of the one before.
func (h *house) dkimKeys() {
	writeBefore(h, action{http.MethodPost, "/brand/dkim-keys", "createDKIMKey", "brands:write", "dkim keys", "Make a DKIM key",
		"For the domain of the brand's sender. It signs nothing until it is activated: publish the record under dns first. RSA (2048 bits) is understood everywhere; an Ed25519 key signs beside it.",
		http.StatusCreated, false}, h.makeDKIMKey, createDKIMKey)
	read(h, action{http.MethodGet, "/brand/dkim-keys", "listDKIMKeys", "brands:read", "dkim keys", "List the brand's DKIM keys",
		"Newest first, with the records that have to stay published.", 0, false}, listDKIMKeys)
	read(h, action{http.MethodGet, "/brand/dkim-keys/{id}", "getDKIMKey", "brands:read", "dkim keys", "Get a DKIM key", "", 0, false}, getDKIMKey)
	writeBefore(h, action{http.MethodPost, "/brand/dkim-keys/{id}/activate", "activateDKIMKey", "brands:write", "dkim keys", "Have a DKIM key sign",
		"From the next seconds on, in place of the active key of its algorithm, which is retired. Refused while the DNS does not show the key's record, unless forced. Repeatable.", 0, false}, h.publishedDKIMKey, activateDKIMKey)
	write(h, action{http.MethodPost, "/brand/dkim-keys/{id}/retire", "retireDKIMKey", "brands:write", "dkim keys", "Have a DKIM key sign no more",
		"Keep its record published until keep_record_until. Refused for the last RSA key while the brand signs its mail itself, unless forced. Repeatable.", 0, false}, retireDKIMKey)
	write(h, action{http.MethodDelete, "/brand/dkim-keys/{id}", "removeDKIMKey", "brands:write", "dkim keys", "Remove a DKIM key",
		"One that never signed, or whose record need not be kept any more. The answer shows it a last time.", 0, false}, removeDKIMKey)
}

type dkimKeyNew struct {
	Algorithm string `json:"algorithm,omitempty" enum:"rsa,ed25519" default:"rsa" example:"rsa"`
	Selector  string `json:"selector,omitempty" maxLength:"63" doc:"Names the key in the DNS; made up, if left out." example:"news-2026"`
}

type dkimKeyAnswer struct {
	ID              uuid.UUID  `json:"id" format:"uuid" example:"019a1f5c-7c00-7000-8000-000000000012"`
	Domain          string     `json:"domain" doc:"Only keys for the domain of the brand's sender sign." example:"north-tea.example"`
	Selector        string     `json:"selector" example:"news-2026"`
	Algorithm       string     `json:"algorithm" enum:"rsa,ed25519" example:"rsa"`
	State           string     `json:"state" enum:"made,active,retired" example:"made"`
	DNS             dnsRecord  `json:"dns"`
	CreatedAt       time.Time  `json:"created_at" example:"2026-11-22T09:00:00Z"`
	ActivatedAt     *time.Time `json:"activated_at,omitempty" example:"2026-11-22T10:00:00Z"`
	RetiredAt       *time.Time `json:"retired_at,omitempty" example:"2027-11-22T10:00:00Z"`
	KeepRecordUntil *time.Time `json:"keep_record_until,omitempty" doc:"Until then the record of a retired key must stay published, for mail that is under way; then remove both." example:"2027-11-29T10:00:00Z"`
}

func showDKIMKey(k brand.DKIMKey) dkimKeyAnswer {
	return dkimKeyAnswer{ID: k.ID, Domain: k.Domain, Selector: k.Selector, Algorithm: k.Algorithm, State: k.State(), DNS: showRecord(k.Public().Record()),
		CreatedAt: k.CreatedAt, ActivatedAt: utc(k.ActivatedAt), RetiredAt: utc(k.RetiredAt), KeepRecordUntil: utc(k.KeepUntil())}
}

func showRecord(r mailauth.Record) dnsRecord {
	return dnsRecord{Name: r.Name, Type: r.Type, Value: r.Value, Zone: r.Zone()}
}

func (h *house) makeDKIMKey(_ context.Context, _ caller, in *struct{ Body dkimKeyNew }) ([]byte, error) {
	key, err := h.GenerateKey(in.Body.Algorithm)
	if err != nil {
		return nil, fmt.Errorf("make a DKIM key: %w", err)
	}
	return key, nil
}

func createDKIMKey(tx *store.Tx, c caller, in *struct{ Body dkimKeyNew }, private []byte) (dkimKeyAnswer, error) {
	k, err := brand.NewDKIMKey(tx, c.brand.ID, in.Body.Selector, private)
	if err != nil {
		return dkimKeyAnswer{}, err
	}
	return showDKIMKey(k), nil
}

func listDKIMKeys(tx *store.Tx, c caller, _ *noInput) (list[dkimKeyAnswer], error) {
	found, err := brand.DKIMKeys(tx, c.brand.ID)
	return all(found, showDKIMKey), err
}

func getDKIMKey(tx *store.Tx, c caller, in *ByID) (dkimKeyAnswer, error) {
	k, err := brand.FindDKIMKey(tx, c.brand.ID, in.ID)
	if err != nil {
		return dkimKeyAnswer{}, err
	}
	return showDKIMKey(k), nil
}

// ByIDForced is ByID that may be told to do it all the same.
type ByIDForced struct {
	ByID
	Force bool `query:"force" doc:"Do it all the same." example:"false"`
}

// dnsTime bounds the question whether one record is published.
const dnsTime = 10 * time.Second

// publishedDKIMKey asks the DNS before the transaction, which would otherwise wait for it.
func (h *house) publishedDKIMKey(ctx context.Context, c caller, in *ByIDForced) (none struct{}, err error) {
	var k brand.DKIMKey
	err = h.DB.Read(ctx, func(tx *store.Tx) error {
		k, err = brand.FindDKIMKey(tx, c.brand.ID, in.ID)
		return err
	})
	if err != nil || in.Force || k.Active {
		return none, err
	}
	ctx, cancel := context.WithTimeout(ctx, dnsTime)
	defer cancel()
	return none, brand.PublishedDKIM(ctx, h.Checker.DNS, k)
}

func activateDKIMKey(tx *store.Tx, c caller, in *ByIDForced, _ struct{}) (dkimKeyAnswer, error) {
	k, err := brand.ActivateDKIM(tx, c.brand.ID, in.ID)
	if err != nil {
		return dkimKeyAnswer{}, err
	}
	return showDKIMKey(k), nil
}

func retireDKIMKey(tx *store.Tx, c caller, in *ByIDForced) (dkimKeyAnswer, error) {
	k, err := brand.RetireDKIM(tx, c.brand.ID, in.ID, in.Force)
	if err != nil {
		return dkimKeyAnswer{}, err
	}
	return showDKIMKey(k), nil
}

func removeDKIMKey(tx *store.Tx, c caller, in *ByID) (dkimKeyAnswer, error) {
	k, err := brand.FindDKIMKey(tx, c.brand.ID, in.ID)
	if err != nil {
		return dkimKeyAnswer{}, err
	}
	return showDKIMKey(k), brand.RemoveDKIM(tx, c.brand.ID, in.ID)
}
