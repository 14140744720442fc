package i18n

// Language is what a language is called in this one: what stands in a sentence.
// One that the catalogue has no name for stands as its code. What a language
// calls itself, for tabs and switches, is the text "admin.language" of its own.
func (l *Localizer) Language(code string) string {
	if key := "admin.language." + code; l.Has(key) {
		return l.T(key)
	}
	return code
}
