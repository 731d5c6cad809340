"""Every hand correction of the contract, each with its reason; one that no longer applies has to be taken out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Reasons = Mapping[str, str]
Reasoned = Mapping[str, tuple[str, str]]


def _empty() -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Corrections:
    """What the document does not say, or says wrongly.

    Attributes:
        anything: Schemas whose description is an artefact: any value is taken.
        answers: Operations that answer as another operation does.
        records: Listings whose records are what another operation answers.
        pages: Operations that may answer a page though a single object is declared.
        types: ``query:name``, ``path:name`` or ``Schema.field`` declared as string, and what they are.
        model_names: Names of structs and enumerations where the rules give a clash or nonsense.
        class_names: Names of resource classes.
        repeat: What an operation does, and so whether it may be sent again, where the rule by its method does not fit.
        scope: Which rate limit an operation counts against.
        busy: Operations whose 429 is about themselves.
        secrets: ``Schema.field`` that no repr may show.
        mixins: Schemas whose models have methods written by hand: the class in ``models/_records.py`` that they get.
        anew: ``resource.field`` of updates that `edit` must be given, since what is read cannot be written back.
        no_edit: Resources without `edit` though they have all it takes.
        jobs: Resources whose records are jobs, with the field that says how far a job is: they get `wait`.
        files: Operations that answer the URL of a job's file: their resources get `download` and `download_to`.
        statements: Resources of statements, with that of the jobs which make them: they get `download_json` and
            `download_csv`.
    """

    anything: Reasons = field(default_factory=_empty)
    answers: Reasoned = field(default_factory=_empty)
    records: Reasoned = field(default_factory=_empty)
    pages: Reasons = field(default_factory=_empty)
    types: Reasoned = field(default_factory=_empty)
    model_names: Reasoned = field(default_factory=_empty)
    class_names: Reasoned = field(default_factory=_empty)
    repeat: Reasoned = field(default_factory=_empty)
    scope: Reasoned = field(default_factory=_empty)
    busy: Reasons = field(default_factory=_empty)
    secrets: Reasons = field(default_factory=_empty)
    mixins: Reasoned = field(default_factory=_empty)
    anew: Reasons = field(default_factory=_empty)
    no_edit: Reasons = field(default_factory=_empty)
    jobs: Reasoned = field(default_factory=_empty)
    files: Reasons = field(default_factory=_empty)
    statements: Reasoned = field(default_factory=_empty)


_BEAN = "a Java collection described by its isEmpty(); the service sends a list"
_DAY = "a day, declared as a plain string"
_INSTANT = "a point in time, declared as a plain string"
_SAME_STATE = "sets a state by id: the same state set twice is the same state"
_READ = "a read in a POST's clothes: it stores nothing"
_URL = "makes a URL: a second one does no harm"
_PAGE = "declares page parameters and a single object: both are taken"
_CLASH = "another schema has that name once `Response` is gone"
_BASE = "declared as the common base: what only one kind has would be lost"
_SIGNS = "who has it can sign in m3ter's name"
_OPENS = "presigned: who has it needs no login"
_SUCCEEDED = "ends as SUCCEEDED or FAILED"
_VAGUE = "the contract's name says nothing outside its own module"

M3TER = Corrections(
    anything={
        "Set_String_": _BEAN,
        "ConfigOptions": _BEAN,
    },
    answers={
        "GetIntegrationConfig": ("UpdateIntegrationConfig", "declared as a run, the path is a configuration's"),
        "GetIntegrationConfigForType": ("UpdateIntegrationConfig", "declared as a run, the path is a configuration's"),
        "PostCompoundAggregation": ("GetCompoundAggregation", "declared as a simple aggregation"),
        "PutCompoundAggregation": ("GetCompoundAggregation", "declared as a simple aggregation"),
    },
    records={
        "listSchedules": ("GetSchedule", _BASE),
        "ListDestinations": ("GetExportDestination", _BASE),
    },
    mixins={
        "EventResponse": ("EventRecord", "what an event is about is declared as anything; its name says what it is"),
    },
    secrets={
        "BearerAccessTokenResponse.access_token": "whoever has it is the client",
        "IntegrationM3terSignedCredentialsRequest.apiKey": _SIGNS,
        "IntegrationM3terSignedCredentialsRequest.secret": _SIGNS,
        "IntegrationM3terSignedCredentialsResponse.apiKey": _SIGNS,
        "IntegrationM3terSignedCredentialsResponse.secret": _SIGNS,
        "ObjectUrlResponse.downloadUrl": _OPENS,
        "GenerateDownloadUrlResponse.url": _OPENS,
        "GenerateExportDownloadUrlResponse.url": _OPENS,
        "StatementJobResponse.presignedJsonStatementUrl": _OPENS,
        "StatementJobResponse.presignedCsvStatementUrl": _OPENS,
        "LookupTableDataArchivedResponse.url": _OPENS,
        "LookupTableDataUploadResponse.url": _OPENS,
        "LookupTableDataUploadResponse.headers": _OPENS,
        "LookupTableRevisionDataJobResponse.downloadUrl": _OPENS,
        "UrlDownloadResponse.url": _OPENS,
        "UrlDownloadResponse.headers": _OPENS,
        "UrlUploadResponse.url": _OPENS,
        "UrlUploadResponse.headers": _OPENS,
    },
    anew={"webhooks.credentials": "an answer may show them masked: written back, they would break every signature"},
    no_edit={
        "lookup_tables.lookup_table_revision_data": "a read gives 2000 rows at most: writing back would drop the rest",
    },
    pages={
        "PreviewBalanceTransactionSchedule": _PAGE,
        "PreviewScheduledCharge": _PAGE,
        "GetOrgUserGroups": _PAGE,
        "GetOrgUserPermissions": _PAGE,
        "GetIntegrationConfigForType": _PAGE,
    },
    types={
        "path:lastDateInBillingPeriod": ("date", _DAY),
        "query:billDate": ("date", _DAY),
        "query:billDateStart": ("date", _DAY),
        "query:billDateEnd": ("date", _DAY),
        "query:billStartDate": ("date", _DAY),
        "query:externalInvoiceDateStart": ("date", _DAY),
        "query:externalInvoiceDateEnd": ("date", _DAY),
        "query:endDateStart": ("date", _DAY),
        "query:endDateEnd": ("date", _DAY),
        "query:date": ("date", _DAY),
        "query:dateStart": ("date", _DAY),
        "query:dateEnd": ("date", _DAY),
        "query:dateCreatedStart": ("date-time", _INSTANT),
        "query:dateCreatedEnd": ("date-time", _INSTANT),
        "query:accountIds": ("array", "several ids in one string: the service joins arrays by commas everywhere else"),
        "ChargeRequest.billDate": ("date", _DAY),
        "CounterAdjustmentRequest.date": ("date", _DAY),
        "OrganizationConfigRequest.yearEpoch": ("date", _DAY),
        "OrganizationConfigRequest.monthEpoch": ("date", _DAY),
        "OrganizationConfigRequest.weekEpoch": ("date", _DAY),
        "OrganizationConfigRequest.dayEpoch": ("date", _DAY),
    },
    model_names={
        "BillLineItemResponse": ("LineItem", "`BillLineItem` is the one nested in a bill; this one stands alone"),
        "BillData": ("BillDataRow", "`BillData` is the whole answer"),
        "Aggregation": ("AggregationFunction", _CLASH),
        "ExternalSystemResponse": ("MappedExternalSystem", _CLASH),
        "ExternalSystem": ("CsvFormat", "which accounting system's CSV layout to write, not a system"),
        "IntegrationRunDao.Order": ("IntegrationRunOrder", "a class name of the server"),
        "BearerAccessTokenRequestGrant_type": ("GrantType", "declared in place"),
        "GetUploadUrlRequestContentType": ("UploadContentType", "declared in place"),
        "IntegrationCredentialsRequestBaseType": ("IntegrationCredentialsType", "declared in place"),
        "IntegrationM3terSignedCredentialsRequestType": ("SignedCredentialsType", "declared in place"),
        "EndDateBillingEntitiesResponseUpdatedEntities": ("UpdatedEntities", "declared in place"),
        "EndDateBillingEntitiesResponseFailedEntities": ("FailedEntities", "declared in place"),
        "MeasurementRequest": ("Measurement", "only ever sent, and what a user calls it"),
        "EntityType": ("TransactionEntityType", "what created a balance transaction; a charge has its own"),
        "Status": ("ExportJobStatus", _VAGUE),
        "JobResponse": ("ExportJob", _VAGUE),
        "JobStatus": ("UploadJobStatus", _VAGUE),
        "JobType": ("LookupTableDataJobType", _VAGUE),
        "Dimension": ("StatementDimension", _VAGUE),
        "Measure": ("StatementMeasure", _VAGUE),
        "OperationalDataExportConfigurationResponse|UsageDataExportConfigurationResponseV2": (
            "ExportSchedule",
            "both kinds in one struct: a kind that is new tomorrow decodes too",
        ),
        "ExportDestinationS3Response|ExportDestinationGoogleCloudStorageResponse": (
            "ExportDestination",
            "both kinds in one struct: a kind that is new tomorrow decodes too",
        ),
    },
    class_names={
        "bills.credit_line_items": ("CreditLineItems", "no other resource has credits"),
        "bills.debit_line_items": ("DebitLineItems", "no other resource has debits"),
    },
    repeat={
        "GenerateToken": ("read", "a second token leaves the first one valid"),
        "PreviewBill": ("read", _READ),
        "PreviewBalanceTransactionSchedule": ("read", _READ),
        "PreviewScheduledCharge": ("read", _READ),
        "PostUsageDataQuery": ("read", _READ),
        "PostQueryBillData": ("read", _READ),
        "EvaluateCalculation": ("read", _READ),
        "ListResourceGroupsForId": ("read", _READ),
        "DownloadBillsCsvUrl": ("read", _URL),
        "GenerateUploadUrl": ("read", _URL),
        "GenerateLookupTableDataUploadUrl": ("read", _URL),
        "GetLookupTableRevisionArchivedDataUrl": ("read", _URL),
        "LockBill": ("safe", _SAME_STATE),
        "UpdateBillStatus": ("safe", _SAME_STATE),
        "ActivateWebhookDestination": ("safe", _SAME_STATE),
        "EndDateBillingEntitiesForAccount": ("safe", _SAME_STATE),
        "EndDateBillingEntitiesForContract": ("safe", _SAME_STATE),
    },
    scope={
        "SubmitMeasurements": ("ingest", "the only operation on the ingest host, which has its own limit"),
        "PostQueryBillData": ("explorer", "the data explorer's own limit: 1 request/s, burst 10"),
        "PostUsageDataQuery": ("usage_query", "the usage query's own limit: 2 requests/s, burst 20"),
    },
    busy={"CreateBillJob": "answers 429 while ten jobs run, however few requests were made"},
    jobs={
        "bill_jobs": ("status", "ends as COMPLETE or CANCELLED"),
        "statements.statement_jobs": ("statementJobStatus", "ends as COMPLETE, FAILED or CANCELLED"),
        "data_exports.jobs": ("status", _SUCCEEDED),
        "usage.file_uploads.jobs": ("status", _SUCCEEDED),
        "lookup_tables.lookup_table_revision_data.lookup_table_revision_data_jobs": ("status", _SUCCEEDED),
    },
    files={"GenerateDataExportFileDownloadUrl": "the file that an export was made for"},
    statements={"statements": ("statements.statement_jobs", "a statement is there only when a job has made it")},
)
