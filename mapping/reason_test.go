package mapping

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// declared are the names of all constants of type Reason, as the source has
// them: a constant that somebody adds cannot be forgotten here.
func declared(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	require.NoError(t, err)
	var out []string
	for _, d := range file.Decls {
		block, ok := d.(*ast.GenDecl)
		if !ok || block.Tok != token.CONST {
			continue
		}
		kind := ""
		for _, s := range block.Specs {
			constant := s.(*ast.ValueSpec)
			if name, ok := constant.Type.(*ast.Ident); ok {
				kind = name.Name
			}
			for _, name := range constant.Names {
				if kind == "Reason" {
					out = append(out, name.Name)
				}
			}
		}
	}
	return out
}

func TestEveryReasonHasANameAndADecision(t *testing.T) {
	table := map[string]struct {
		reason   Reason
		name     string
		decision Decision
	}{
		"FirstSeen":         {FirstSeen, "first_seen", New},
		"Recurred":          {Recurred, "recurred", New},
		"Active":            {Active, "active", Duplicate},
		"ActiveForeign":     {ActiveForeign, "active_foreign", Duplicate},
		"ManualReview":      {ManualReview, "manual_review", Duplicate},
		"BackOff":           {BackOff, "back_off", Duplicate},
		"ReplayedNew":       {ReplayedNew, "replayed_new", New},
		"ReplayedDuplicate": {ReplayedDuplicate, "replayed_duplicate", Duplicate},
		"ResolvedActive":    {ResolvedActive, "resolved_active", Resolved},
		"ResolvedPartly":    {ResolvedPartly, "resolved_partly", Resolved},
		"ResolvedNothing":   {ResolvedNothing, "resolved_nothing", Resolved},
		"IgnoredAlertname":  {IgnoredAlertname, "ignored_alertname", Filtered},
		"IgnoredSeverity":   {IgnoredSeverity, "ignored_severity", Filtered},
		"Unmatched":         {Unmatched, "unmatched", Filtered},
		"NotFiring":         {NotFiring, "not_firing", Filtered},
		"Unmanaged":         {Unmanaged, "unmanaged", Filtered},
		"TooOld":            {TooOld, "too_old", Stale},
		"BrakeOn":           {BrakeOn, "brake_on", Paused},
		"QuotaExceeded":     {QuotaExceeded, "quota_exceeded", Capped},
		"Malformed":         {Malformed, "malformed", Invalid},
		"Rejected":          {Rejected, "rejected", Invalid},
		"Unavailable":       {Unavailable, "unavailable", Unsettled},
	}
	require.ElementsMatch(t, declared(t), slices.Collect(maps.Keys(table)))
	require.Len(t, reasons, len(table))
	names := map[string]bool{}
	for constant, row := range table {
		t.Run(constant, func(t *testing.T) {
			require.Equal(t, row.name, row.reason.String())
			require.Equal(t, row.decision, row.reason.Decision())
		})
		names[row.name] = true
	}
	require.Len(t, names, len(table), "metrics and logs tell reasons apart by name")
}

func TestNoReasonHasNoName(t *testing.T) {
	require.Empty(t, Reason(0).String())
	require.Empty(t, Reason(0).Decision())
}
