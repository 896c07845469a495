package job_test

import (
	"testing"

	"shoal/job"
)

// FuzzNames reads what people type for jobs and slots: what is taken
// prints as it was, or as something that reads as the same.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"shop", "default/shop", "shop/web.2", "default/shop/web.2", "agent@kitchen", "shop/backup@2026-11-21T02:00Z", "disk == ssd", "gpu"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := job.ParseID(s); err == nil {
			if again, err := job.ParseID(id.String()); err != nil || again != id {
				t.Errorf("job %q reads as %v, then as %v, %v", s, id, again, err)
			}
		}
		if slot, err := job.ParseSlotID(s); err == nil {
			if again, err := job.ParseSlotID(slot.String()); err != nil || again != slot {
				t.Errorf("slot %q reads as %v, then as %v, %v", s, slot, again, err)
			}
		}
		_ = job.CheckName(s)
	})
}
