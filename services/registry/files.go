package registry

import (
	"context"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/etag"
	"circle15.dev/internal/facts"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/standards"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/write"
	"circle15.dev/services/internal/refs"
)

// The states of a service file.
const (
	fileActive = "ACTIVE"
	fileVoid   = "VOID"
)

// CreateServiceFile builds a classified service file (归类服务档案) of a resident and counts it. A resident has at most one
// active file of a category.
func (s *Service) CreateServiceFile(ctx context.Context, req *registryv1.CreateServiceFileRequest) (*registryv1.ServiceFile, error) {
	in := req.GetServiceFile()
	id, err := ids.OrNew("serviceFile.id", in.GetId())
	if err != nil {
		return nil, err
	}
	built, err := civildate.ParsePast("serviceFile.builtDate", in.GetBuiltDate())
	if err != nil {
		return nil, err
	}
	if err := checkFileCodes(ctx, in); err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*registryv1.ServiceFile, error) {
		resident, err := refs.Resident(ctx, tx, "serviceFile.residentId", in.GetResidentId())
		if err != nil {
			return nil, err
		}
		if err := refuseAfterClosing(ctx, tx, "serviceFile.builtDate", resident.StationID, built); err != nil {
			return nil, err
		}
		staff, err := refs.StaffOn(ctx, tx, "serviceFile.staffId", in.GetStaffId(), resident.StationID, built)
		if err != nil {
			return nil, err
		}
		file := &fileRow{
			ID: id, StationID: resident.StationID, ResidentID: resident.ID, HouseholdID: resident.HouseholdID, StaffID: staff,
			Category: in.GetCategory(), Domain: in.GetDomain(), Summary: in.GetSummary(), BuiltDate: built,
		}
		row, err := file.insert(ctx, tx)
		if err != nil {
			return nil, err
		}
		if err := facts.Append(ctx, tx, row.fact()); err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

// GetServiceFile returns a service file of the data scope.
func (s *Service) GetServiceFile(ctx context.Context, req *registryv1.GetServiceFileRequest) (*registryv1.ServiceFile, error) {
	return get(ctx, s, "service file", req.GetId(), scanFile, selectFile)
}

// ListServiceFiles lists the service files of the data scope.
func (s *Service) ListServiceFiles(
	ctx context.Context, req *registryv1.ListServiceFilesRequest,
) (*registryv1.ListServiceFilesResponse, error) {
	resident, err := ids.ParseOptional("residentId", req.GetResidentId())
	if err != nil {
		return nil, err
	}
	files, next, err := list(ctx, s, req, req.GetStationId(), scanFile, selectFiles, resident, optionalText(req.GetCategory()))
	if err != nil {
		return nil, err
	}
	return &registryv1.ListServiceFilesResponse{ServiceFiles: files, NextPageToken: next}, nil
}

// UpdateServiceFile changes an active service file. Another day, worker or domain moves the figure along.
func (s *Service) UpdateServiceFile(ctx context.Context, req *registryv1.UpdateServiceFileRequest) (*registryv1.ServiceFile, error) {
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*registryv1.ServiceFile, error) {
		old, err := find(ctx, tx, "serviceFile.id", "service file", req.GetServiceFile().GetId(), scanFile, lockFile)
		if err != nil {
			return nil, err
		}
		merged := old.toProto()
		if err := change(ctx, "serviceFile", merged, req.GetServiceFile(), req.GetUpdateMask(), old.Revision); err != nil {
			return nil, err
		}
		if old.State == fileVoid {
			return nil, apierr.New(apierr.Conflict, "the service file is void")
		}
		if err := checkFileCodes(ctx, merged); err != nil {
			return nil, err
		}
		file := *old
		file.Category, file.Domain, file.Summary = merged.GetCategory(), merged.GetDomain(), merged.GetSummary()
		if err := file.rebuild(ctx, tx, merged); err != nil {
			return nil, err
		}
		row, err := file.update(ctx, tx)
		if err != nil {
			return nil, err
		}
		if !row.BuiltDate.Equal(old.BuiltDate) || row.StaffID != old.StaffID || row.Domain != old.Domain {
			if err := facts.Recount(ctx, tx, facts.SourceServiceFiles, row.ID, row.fact()); err != nil {
				return nil, err
			}
		}
		return row.toProto(), nil
	})
}

// VoidServiceFile takes a service file back, and with it its figure.
func (s *Service) VoidServiceFile(ctx context.Context, req *registryv1.VoidServiceFileRequest) (*registryv1.ServiceFile, error) {
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*registryv1.ServiceFile, error) {
		file, err := find(ctx, tx, "id", "service file", req.GetId(), scanFile, lockFile)
		if err != nil {
			return nil, err
		}
		if err := etag.Match(ctx, "etag", req.GetEtag(), file.Revision); err != nil {
			return nil, err
		}
		if file.State == fileVoid {
			return nil, apierr.New(apierr.Conflict, "the service file is void already")
		}
		file.State, file.VoidReason = fileVoid, req.GetReason()
		row, err := file.update(ctx, tx)
		if err != nil {
			return nil, err
		}
		if err := facts.Reverse(ctx, tx, facts.SourceServiceFiles, row.ID); err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

// rebuild takes over another day on which the file was built, or another worker who built it.
func (r *fileRow) rebuild(ctx context.Context, tx *tenantdb.Tx, m *registryv1.ServiceFile) error {
	day, err := civildate.ParsePast("serviceFile.builtDate", m.GetBuiltDate())
	if err != nil || day.Equal(r.BuiltDate) && m.GetStaffId() == r.StaffID.String() {
		return err
	}
	if err := refuseAfterClosing(ctx, tx, "serviceFile.builtDate", r.StationID, day); err != nil {
		return err
	}
	r.BuiltDate = day
	r.StaffID, err = refs.StaffOn(ctx, tx, "serviceFile.staffId", m.GetStaffId(), r.StationID, day)
	return err
}

func checkFileCodes(ctx context.Context, m *registryv1.ServiceFile) error {
	if err := standards.CheckAny(ctx, "serviceFile.category", m.GetCategory(), standards.Categories, standards.Tiers); err != nil {
		return err
	}
	return standards.Check(ctx, "serviceFile.domain", standards.Domains, m.GetDomain())
}

// fact counts the file on the day it was built.
func (r *fileRow) fact() facts.Fact {
	return facts.Fact{
		Measure: facts.File, Date: r.BuiltDate, Station: r.StationID, Staff: &r.StaffID, Household: &r.HouseholdID,
		Resident: &r.ResidentID, Domain: r.Domain, Amount: 1, SourceType: facts.SourceServiceFiles, SourceID: r.ID,
	}
}
