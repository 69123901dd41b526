package network

//go:generate sh -c "go run ./internal/sopgen -edition 2024d \"$UID_DICT\" > storage_classes.tmp && mv storage_classes.tmp storage_classes.go"

// VerificationUID is the abstract syntax of C-ECHO (PS3.4 A.4).
const VerificationUID = "1.2.840.10008.1.1"

// StorageClass is a SOP class whose instances travel by C-STORE.
type StorageClass struct {
	UID, Name string
	Retired   bool
}

var storageClassByUID = func() map[string]*StorageClass {
	m := make(map[string]*StorageClass, len(storageClasses))
	for i := range storageClasses {
		m[storageClasses[i].UID] = &storageClasses[i]
	}
	return m
}()

// LookupStorageClass is the storage SOP class of a UID; false if the standard (edition StorageEdition) has none.
func LookupStorageClass(uid string) (StorageClass, bool) {
	if c, ok := storageClassByUID[uid]; ok {
		return *c, true
	}
	return StorageClass{}, false
}

// StorageClasses are all storage SOP classes of the standard, retired ones included, in the order of their UIDs.
func StorageClasses() []StorageClass { return append([]StorageClass(nil), storageClasses[:]...) }

// StorageEdition is the edition of the standard that StorageClasses follows.
func StorageEdition() string { return storageEdition }
