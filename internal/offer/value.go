package offer

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/text/currency"

	"assent/internal/i18n"
)

// ValueKind is what an offer gives.
type ValueKind string

// The kinds.
const (
	Percent ValueKind = "percent" // off the price
	Amount  ValueKind = "amount"  // money off
	Gift    ValueKind = "gift"    // what the title says
)

// Worth writes what the offer gives, as people read it: "15%", "€10", "a gift".
func (o Offer) Worth(l *i18n.Localizer) string {
	switch o.ValueKind {
	case Percent:
		return l.T("offer.value.percent", "Percent", o.Value)
	case Amount:
		return Money(l, o.Value, o.Currency)
	}
	return l.T("offer.value.gift")
}

// Money writes an amount of minor units of an ISO 4217 currency: "€12.50",
// "۱۲٫۵۰ یورو". Whole amounts go without decimals.
func Money(l *i18n.Localizer, minor int64, code string) string {
	amount := decimal(l, minor, decimals(code))
	if key := "offer.currency." + code; l.Has(key) {
		return l.T(key, "Amount", amount)
	}
	return l.T("offer.currency.other", "Amount", amount, "Code", code)
}

// amount is how people type one: thousands may be set off, and three digits follow each mark.
var amount = regexp.MustCompile(`^([0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?:\.([0-9]+))?$`)

// ParseMoney reads an amount as people type it, "12.50", "۱۲٫۵" or "1,200", in
// minor units of a currency. ok is false for what is no amount, has more
// decimals than the currency, or is more than an offer can give.
func ParseMoney(typed, code string) (minor int64, ok bool) {
	parts := amount.FindStringSubmatch(strings.NewReplacer(" ", "", "٬", ",", "٫", ".").Replace(i18n.ASCIIDigits(strings.TrimSpace(typed))))
	if parts == nil || len(parts[2]) > decimals(code) {
		return 0, false
	}
	minor, err := strconv.ParseInt(strings.ReplaceAll(parts[1], ",", "")+parts[2]+strings.Repeat("0", decimals(code)-len(parts[2])), 10, 64)
	return minor, err == nil && minor <= maxMoney
}

// TypedMoney writes an amount of minor units as ParseMoney reads it: "12.50".
func TypedMoney(minor int64, code string) string {
	places := decimals(code)
	digits := fmt.Sprintf("%0*d", places+1, minor)
	whole, part := digits[:len(digits)-places], digits[len(digits)-places:]
	if strings.Trim(part, "0") == "" {
		return whole
	}
	return whole + "." + part
}

func decimal(l *i18n.Localizer, minor int64, decimals int) string {
	unit := int64(1)
	for range decimals {
		unit *= 10
	}
	whole, part := minor/unit, minor%unit
	if part == 0 {
		return l.Number(whole)
	}
	return l.Number(whole) + l.T("offer.decimal-mark") + l.Digits(fmt.Sprintf("%0*d", decimals, part))
}

// decimals is how many digits the minor unit of a currency has.
func decimals(code string) int {
	unit, err := currency.ParseISO(code)
	if err != nil {
		return 2
	}
	scale, _ := currency.Standard.Rounding(unit)
	return scale
}

func isCurrency(code string) bool {
	_, err := currency.ParseISO(code)
	return err == nil && len(code) == 3 && code == strings.ToUpper(code)
}
