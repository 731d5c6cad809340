"""The words of the docstrings, this project's own: sentences by rule, and by hand where a rule would say too little."""

from __future__ import annotations

from collections.abc import Iterable

from . import names
from .plan import Method

# resource: one of them, several of them
_NOUNS: dict[str, tuple[str, str]] = {
    "bills.line_items": ("line item of a bill", "the line items of a bill"),
    "bills.credit_line_items": ("credit on a bill", "the credits on a bill"),
    "bills.debit_line_items": ("debit on a bill", "the debits on a bill"),
    "balances": ("balance", "balances"),
    "balances.transactions": ("transaction on a balance", "the transactions on a balance"),
    "balances.transaction_schedules": (
        "schedule of transactions on a balance",
        "the schedules of transactions on a balance",
    ),
    "balances.charge_schedules": ("schedule of charges to a balance", "the schedules of charges to a balance"),
    "bill_config": ("the organization's bill configuration", "the organization's bill configuration"),
    "organization_config": ("the organization's configuration", "the organization's configuration"),
    "support": ("the access of m3ter's support staff", "the access of m3ter's support staff"),
    "custom_fields": ("the organization's custom fields", "the organization's custom fields"),
    "line_items": ("line item", "the line items of all bills"),
    "statements": ("statement", "the statements of bills"),
    "authentication": ("access token", "access tokens"),
    "usage": ("usage", "measured usage"),
    "users.invitations": ("invitation of a user", "invitations of users"),
    "webhooks": ("webhook destination", "webhook destinations"),
    "counter_adjustments": ("counter adjustment", "counter adjustments"),
    "data_explorer": ("query of bill data", "queries of bill data"),
    "data_exports": ("export", "exports of data to files of yours"),
    "data_exports.destinations": ("export destination", "export destinations"),
    "data_exports.jobs": ("export job", "export jobs"),
    "data_exports.schedules": ("export schedule", "export schedules"),
    "lookup_tables.lookup_table_revisions": ("revision of a lookup table", "the revisions of a lookup table"),
    "lookup_tables.lookup_table_revision_data": (
        "the data of a lookup table's revision",
        "the data of a lookup table's revision",
    ),
    "lookup_tables.lookup_table_revision_data.lookup_table_revision_data_jobs": (
        "job on the data of a lookup table's revision",
        "the jobs on the data of a lookup table's revision",
    ),
    "marketplace": ("usage report", "what is reported to marketplaces"),
    "plan_group_links": ("link of a plan to a plan group", "links of plans to plan groups"),
    "usage.file_uploads": ("file of measurements", "files of measurements"),
    "usage.file_uploads.jobs": ("job that reads an uploaded file", "the jobs that read uploaded files"),
    "usage.saved_queries": ("saved usage query", "saved usage queries"),
}

_VERBS = {
    "list": "Stream {many}.",
    "create": "Create {a_one}.",
    "retrieve": "Get {a_one}; `NotFoundError` if there is none.",
    "update": "Replace {a_one}.",
    "delete": "Delete {a_one}; the answer is what was deleted.",
    "search": "Stream the {plain} that match a query.",
    "cancel": "Cancel {a_one}.",
    "preview": "Show what {a_one} would make, without storing anything.",
}

_SUMMARIES = {
    "GenerateToken": "Get an access token for the client's key and secret.",
    "ListBills": "Stream bills, newest first.",
    "SearchBills": "Stream the bills that match a query.",
    "GetAllBillsForAccount": "Stream the bills of one account, newest first.",
    "GetAllBillsInBillingPeriod": "Stream the bills of one billing period.",
    "GetLatestBill": "Get the newest bill of an account.",
    "PreviewBill": "Calculate a bill without storing it.",
    "ApproveBills": "Approve bills by id: they go from PENDING to APPROVED.",
    "ApproveAllBillsInBillingPeriod": "Approve every bill of one billing period.",
    "UpdateBillStatus": "Set the status of a bill.",
    "LockBill": "Lock a bill for good.",
    "DownloadBillsCsvUrl": "Make a URL from which a CSV file of bills can be downloaded.",
    "GetBillJsonStatement": "Get a URL from which a bill's statement can be downloaded as JSON.",
    "GetBillCsvStatement": "Get a URL from which a bill's statement can be downloaded as CSV.",
    "CreateBillCsvStatement": "Have a bill's statement written as CSV, and get the URL to download it from.",
    "GetBillLineItemJsonUsage": "Get a URL from which the usage behind a line item can be downloaded as JSON.",
    "CreateBillJob": "Start a job that calculates bills.",
    "RecalculateBillJob": "Start a job that calculates existing bills anew.",
    "CreateStatementJob": "Start a job that writes the statement of a bill.",
    "CreateStatementJobBatch": "Start jobs that write the statements of up to ten bills.",
    "PostBalanceTransaction": "Add an amount to a balance, or take one from it.",
    "GetBalanceTransactionsSummary": "Get the totals of a balance's transactions.",
    "CreateCharge": "Charge an account, or add a charge to a balance.",
    "PostCounterAdjustment": "Set a counter of an account to a value from a date on.",
    "UpdateBillConfig": "Replace the organization's bill configuration.",
    "PostQueryBillData": "Query bill line items over a range of time.",
    "PostUsageDataQuery": "Query usage over a range of time.",
    "SubmitMeasurements": "Send up to 1000 measurements.",
    "ListResourceGroupsForId": "Stream what a resource group holds.",
    "AdminResendTempPass": "Send a user a new temporary password by mail.",
    "GetMe": "Get the caller: a user or a service user, and the organization.",
    "EvaluateCalculation": "Try out a notification's calculation on an event.",
    "ReplaceAccountPlan": "End an account plan and attach another in its place.",
    "EndDateBillingEntitiesForAccount": "End what bills an account: plans, contracts, prepayments, pricings.",
    "EndDateBillingEntitiesForContract": "End what bills a contract: plans, prepayments, pricings.",
    "ListAccountChildren": "Stream the child accounts of an account.",
    "TriggerDataExport": "Start one export now.",
    "GenerateDataExportFileDownloadUrl": "Get a URL from which an exported file can be downloaded.",
    "ListEventFields": "Get the fields of each event type.",
    "ListEventTypes": "Get the names of all event types.",
    "GetExternalMappingConfiguration": "Get which entities can be mapped to which external systems.",
    "ListExternalMappingsForExternalSystemAndEntity": "Stream the mappings of one entity of an external system.",
    "ListExternalMappingsForM3terEntity": "Stream the mappings of one m3ter entity.",
    "GetExternalMappingOptionsForDestination": "Get what an external system offers to map an entity to.",
    "GetExternalMappingOptionsForDestinationForCredentialsId": (
        "Get what an external system offers to map an entity to, seen with particular credentials."
    ),
    "EnableIntegrationConfig": "Switch an integration on.",
    "GetIntegrationConfigForType": "Stream the integrations of one type of entity, or of one entity.",
    "GetConfigOptionValues": "Get the values that an option of a system can take.",
    "GetAvailableConfig": "Get what can be configured for which entity and system.",
    "GetAvailableAuthForSystemAndEntityType": "Get how to log in to a system for one type of entity.",
    "GetAvailableSystemEntities": "Get the entities that a system can be integrated with.",
    "GetAvailableSystems": "Get the systems there are integrations for.",
    "GetIntegrationRunLogs": "Get the log of an integration run.",
    "ListIntegrationRunsByDestinationId": "Stream the integration runs of one destination.",
    "GetIntegrationRunLatestForIds": "Get the latest integration run of several entities.",
    "GetIntegrationRunLatest": "Get the latest integration run of an entity.",
    "GetLookupTableRevisionArchivedDataUrl": "Get a URL from which archived data can be downloaded.",
    "CopyLookupTableRevisionData": "Copy the data of one revision to another.",
    "DeleteLookupTableRevisionDataEntry": "Delete one row by its key.",
    "GenerateLookupTableDataUploadUrl": "Get a URL to which the data of a revision can be uploaded.",
    "GetLookupTableRevisionDataEntry": "Get one row by its key.",
    "PutLookupTableRevisionDataEntry": "Add one row, or replace the one with its key.",
    "TriggerLookupTableRevisionDataDownloadJob": "Start a job that writes the data to a file.",
    "UpdateLookupTableRevisionStatus": "Set the status of a revision.",
    "GetUsageReport": "Stream what was reported to a marketplace.",
    "AddResourceToGroup": "Add something to a resource group.",
    "RemoveResourceFromGroup": "Take something out of a resource group.",
    "GetResourceGroupPermissions": "Stream the permission policies of a resource group.",
    "GetValidationErrorDownloadUrl": "Get a URL from which measurements that failed validation can be downloaded.",
    "GenerateUploadUrl": "Get a URL to which a file of measurements can be uploaded.",
    "GetJobOriginalFileDownloadUrl": "Get a URL from which an uploaded file can be downloaded again.",
    "GetOrgUserPermissions": "Stream the permission policies of a user.",
    "GetOrgUserGroups": "Stream the groups of a user.",
    "CreateOrgUserInvitation": "Invite someone by mail to become a user.",
    "PostPlanGroupLink": "Put a plan into a plan group.",
    "PostCreditLineItem": "Add a credit to a bill.",
    "PostDebitLineItem": "Add a debit to a bill.",
    "GetLookupTableRevisionData": "Get the rows of a lookup table's revision.",
    "PutLookupTableRevisionData": "Replace all rows of a lookup table's revision.",
    "DeleteLookupTableRevisionData": "Delete all rows of a lookup table's revision.",
    "AddPermissionPolicyToServiceUser": "Give a permission policy to a service user.",
    "AddPermissionPolicyToSupportUsers": "Give a permission policy to m3ter's support staff.",
    "AddPermissionPolicyToUser": "Give a permission policy to a user.",
    "AddPermissionPolicyToUserGroup": "Give a permission policy to a group of users.",
    "RemovePermissionPolicyFromServiceUser": "Take a permission policy from a service user.",
    "RemovePermissionPolicyFromSupportUsers": "Take a permission policy from m3ter's support staff.",
    "RemovePermissionPolicyFromUser": "Take a permission policy from a user.",
    "RemovePermissionPolicyFromUserGroup": "Take a permission policy from a group of users.",
    "ActivateWebhookDestination": "Switch a webhook destination on or off.",
}

_PRESIGNED = "The URL is presigned: fetch it without an Authorization header."
_AMOUNT_OR_UNITS = "Give `amount`, or `units` with `unit_price`; never both."
_MONEY = (
    "It moves money, so it is never sent again when nobody knows whether it took effect: "
    "the exception then has `outcome_unknown` set."
)
_MAIL = "Never sent again by itself: every time is another mail."
_ONCE = "Not sent again by itself when nobody knows whether it took effect."
_SEARCH = (
    "`search_query` joins conditions by ``$``, as in ``{example}``, with ``>`` ``>=`` ``:`` ``<=`` ``<`` and ``~`` "
    "(starts with)."
)
_PLAN_OR_GROUP = "Give `plan_id` or `plan_group_id`, not both."
_PRICES = (
    "Give `plan_id` or `plan_template_id`, and `aggregation_id` or `compound_aggregation_id`. "
    "In `pricing_bands`, amounts are in the currency of the plan, and a band's `lower_limit` is where it begins."
)
_DESTINATION = (
    "A `destination_type` of S3 needs `iam_role_arn`; one of GCS needs `project_number`, `pool_id` and `provider_id`. "
    "`prefix` is the folder in the bucket."
)
_EXPORT = (
    "A `source_type` of OPERATIONAL needs `operational_data_types`; one of USAGE takes {usage}, "
    "`meter_ids`, `account_ids`, filters, aggregations and groups."
)
_CUSTOM_SQL = "`quantity_per_unit` is how much of what is measured makes one unit to be priced."
_HALF_OPEN = "Ranges of dates are half-open: the start counts, the end does not."
_SCHEDULE = "The interval is 1 to 365; the end of the schedule is exclusive."

_NOTES: dict[str, tuple[str, ...]] = {
    "ListBills": (
        _HALF_OPEN,
        "`billing_frequency` goes with `bill_date` only.",
    ),
    "SearchAccounts": (_SEARCH.format(example="name~Acme$currency:USD"),),
    "SearchBills": (_SEARCH.format(example="accountId:x$billDate>2024-01-01"),),
    "SearchCommitments": (_SEARCH.format(example="accountId:x$amount>100"),),
    "PostAccountPlan": (_PLAN_OR_GROUP,),
    "PutAccountPlan": (_PLAN_OR_GROUP,),
    "ReplaceAccountPlan": (_PLAN_OR_GROUP,),
    "PostPricing": (_PRICES,),
    "PutPricing": (_PRICES,),
    "PostAggregation": (_CUSTOM_SQL,),
    "PutAggregation": (_CUSTOM_SQL,),
    "PostCompoundAggregation": (_CUSTOM_SQL,),
    "PutCompoundAggregation": (_CUSTOM_SQL,),
    "PostDestination": (_DESTINATION,),
    "PutDestination": (_DESTINATION,),
    "CreateSchedule": (_EXPORT.format(usage="`time_period`"),),
    "UpdateSchedule": (_EXPORT.format(usage="`time_period`"),),
    "TriggerDataExport": (_EXPORT.format(usage="`start_date`, `end_date`"), "The answer has the id of the export job."),
    "EvaluateCalculation": ("It is tried on the event with that `event_id`, or of that `event_name`.",),
    "EndDateBillingEntitiesForAccount": ("What could not be ended is in the answer, and raises nothing.",),
    "EndDateBillingEntitiesForContract": ("What could not be ended is in the answer, and raises nothing.",),
    "PutSupport": ("Support staff loses its access at `dt_end_support_users_access`.",),
    "UpdateBillStatus": ("PENDING or APPROVED; locking is apart from it, see `lock`.",),
    "GetLatestBill": ("`NotFoundError` if there is none.",),
    "UpdateCustomFields": (
        "Each argument maps the names of an entity's custom fields to the values they have where nobody set one.",
    ),
    "UpdateOrganizationConfig": ("The epochs are the days from which years, months, weeks and days are counted.",),
    "CreateWebhookDestination": ("The key and secret in `credentials` sign what is sent to `url`.",),
    "UpdateWebhookDestination": ("The key and secret in `credentials` sign what is sent to `url`.",),
    "PostIntegrationConfig": ("Which other fields `credentials` has depends on its ``type``: give them in a mapping.",),
    "UpdateIntegrationConfig": (
        "Which other fields `credentials` has depends on its ``type``: give them in a mapping.",
    ),
    "ApproveBills": ("The answer is a message, not the bills.", _HALF_OPEN),
    "ApproveAllBillsInBillingPeriod": ("The answer is a message, not the bills.",),
    "LockBill": ("A lock cannot be undone, and a PENDING bill cannot be locked.",),
    "UpdateBillConfig": ("`bill_lock_date` locks every bill up to that date; refused while one of them is PENDING.",),
    "CreateBillJob": (
        "At most ten jobs run at once: then the answer is a 429. "
        "A job has no failed state, so waiting for it needs a timeout.",
    ),
    "CreateStatementJob": ("The statement's URLs are in the job once it is COMPLETE.",),
    "GetBillJsonStatement": (_PRESIGNED,),
    "GetBillCsvStatement": (_PRESIGNED,),
    "CreateBillCsvStatement": (_PRESIGNED,),
    "DownloadBillsCsvUrl": (_PRESIGNED,),
    "GetLookupTableRevisionArchivedDataUrl": (_PRESIGNED,),
    "GetJobOriginalFileDownloadUrl": (_PRESIGNED,),
    "GenerateDataExportFileDownloadUrl": (_PRESIGNED,),
    "GetValidationErrorDownloadUrl": (_PRESIGNED,),
    "GetBillLineItemJsonUsage": (_PRESIGNED,),
    "PostBalanceTransaction": (
        "`amount` is in the currency of the balance and may be negative; `paid` is in `currency_paid`. "
        "A transaction is never changed or deleted.",
        _MONEY,
    ),
    "CreateCharge": (
        _AMOUNT_OR_UNITS,
        "A charge with the entity type BALANCE takes the balance's id as `entity_id`.",
        _MONEY,
    ),
    "UpdateCharge": (_AMOUNT_OR_UNITS,),
    "CreateBalanceChargeSchedule": (_AMOUNT_OR_UNITS, _SCHEDULE, _MONEY),
    "UpdateBalanceChargeSchedule": (_AMOUNT_OR_UNITS, _SCHEDULE),
    "PreviewScheduledCharge": (_AMOUNT_OR_UNITS, _SCHEDULE),
    "CreateBalanceTransactionSchedule": (_SCHEDULE, _MONEY),
    "UpdateBalanceTransactionSchedule": (_SCHEDULE,),
    "PreviewBalanceTransactionSchedule": (_SCHEDULE,),
    "PostCreditLineItem": (_MONEY,),
    "PostDebitLineItem": (_MONEY,),
    "GenerateToken": ("The client does this by itself; call it to have a token for something else.",),
    "SubmitMeasurements": (
        "In a measurement, `meter` and `account` are codes, not ids, and `uid` has at most 50 characters. "
        "A request holds 1 to 1000 measurements and under 512,000 bytes. With a `uid` in each, a repeat is not "
        "counted twice (for 35 days). The answer comes before validation: failures show up later, as events.",
    ),
    "PostQueryBillData": ("At most 2000 rows. One request per second and organization, ten in a burst.",),
    "PostUsageDataQuery": (
        "At most 20,000 rows; `has_more_data` says whether there were more.",
        "Two requests per second and organization, 20 in a burst.",
    ),
    "GenerateLookupTableDataUploadUrl": (
        "The URL takes an upload, whatever the method is called: PUT the file to it with the headers given.",
    ),
    "GenerateUploadUrl": (
        "PUT the file to the URL with the headers that come with it and without an Authorization header.",
        "The URL is valid for one minute, for a file of at most 1 GiB.",
    ),
    "GetLookupTableRevisionData": ("At most 2000 rows, and no way to page on.",),
    "AdminResendTempPass": (_MAIL,),
}
_REPLACES = "Everything is replaced: custom fields that are left out are lost (`edit` keeps them)."
_VERSION_UPDATE = (
    "`version` must be that of the stored one: "
    "the service refuses any other (`ConflictError`), and an update without it."
)
_VERSION_CREATE = "Leave `version` out: it is for updates."

_EDIT = (
    "`change` gets what is stored and returns the arguments of `update` that shall be different, as a mapping or as an "
    "awaitable of one; where it returns none, nothing is written. All else is written back as it was read, custom "
    "fields too. After a conflict it is read and changed again, at most `attempts` times in all, but not when the "
    "outcome of a write is unknown."
)

# What an answer lacks of a body cannot be kept by reading it.
_UNSEEN = "What the service does not show it cannot keep: {names}."
_EDIT_NOTES: dict[str, tuple[str, ...]] = {
    "UpdateIntegrationConfig": (_UNSEEN.format(names="`credentials`"),),
    "PutCreditLineItem": (_UNSEEN.format(names="`reason_id`, `amount_to_apply_on_bill`, `accounting_product_id`"),),
    "PutDebitLineItem": (_UNSEEN.format(names="`reason_id`, `amount_to_apply_on_bill`, `accounting_product_id`"),),
}

_MODELS = {
    "BillResponse": "A bill of an account for one billing period; `locked` is apart from `status`.",
    "BillLineItem": "A line item as it is nested in a bill.",
    "BillLineItemResponse": "A line item on its own, with the bill it belongs to.",
    "BillLineItemPricingBandUsage": "What one pricing band contributed to a line item.",
    "CurrencyConversion": "A rate: one `from_` is worth `multiplier` `to`.",
    "ObjectUrlResponse": "Where to download a file: a presigned URL, to be fetched without an Authorization header.",
    "BillApprovalResponse": "What the service says about an approval, in words.",
    "BillJobResponse": "A job that calculates bills; `pending` of `total` are still to do.",
    "StatementJobResponse": "A job that writes a bill's statement; the URLs appear when it is complete.",
    "StatementJobFilters": "Which meters' usage a statement holds.",
    "BalanceResponse": "A prepaid amount that an account's bills draw down.",
    "BalanceTransactionResponse": "One change of a balance; the amount is negative where it took from it.",
    "BalanceTransactionsSummary": "The totals of a balance's transactions.",
    "BearerAccessTokenResponse": "An access token and how long it lasts.",
    "CreditLineItemResponse": "A credit on a bill.",
    "DebitLineItemResponse": "A debit on a bill.",
    "ChargeResponse": "A charge to an account or a balance, outside of any plan.",
    "BillConfigResponse": "What holds for all bills of the organization.",
    "BalanceChargeScheduleResponse": "Charges to a balance that come by themselves, at an interval.",
    "BalanceTransactionScheduleResponse": "Transactions on a balance that come by themselves, at an interval.",
    "CounterAdjustmentResponse": "The value of an account's counter from a date on.",
    "AccountResponse": "A customer of the organization, or a part of one: what is billed.",
    "AccountPlanResponse": "That an account is on a plan, or on a plan group, for a time.",
    "AggregationResponse": "What is counted of a meter's data, and in which units.",
    "CompoundAggregationResponse": "A calculation over aggregations and counters.",
    "MeterResponse": "What is measured: its data fields, and fields derived from them.",
    "DataField": "A field of a meter's measurements.",
    "DerivedField": "A field of a meter that is calculated from others.",
    "PricingResponse": "What usage costs on a plan, in bands; amounts are in the plan's currency.",
    "PricingBand": "A price from `lower_limit` units on: fixed, per unit, or both.",
    "CounterResponse": "A number that is set and adjusted, such as seats.",
    "CounterPricingResponse": "What a counter's value costs on a plan, in bands.",
    "CommitmentResponse": "An amount that an account agreed to spend.",
    "CommitmentFee": "A part of a commitment's amount that is due on a date.",
    "ContractResponse": "What binds an account's plans, commitments and balances together for a time.",
    "PlanTemplateResponse": "What plans have in common: product, currency, billing frequency, standing charge.",
    "PlanResponse": "A variant of a plan template; prices hang on it.",
    "PlanGroupResponse": "Several plans that an account takes together.",
    "PlanGroupLinkResponse": "That a plan is in a plan group.",
    "ProductResponse": "What is sold; plans, meters and pricings belong to one.",
    "CurrencyResponse": "A currency, and how amounts in it are rounded.",
    "CustomFieldResponse": "The custom fields of each type of entity, with their defaults.",
    "OrganizationConfigResponse": "What holds for the organization: time zone, currency, epochs, billing defaults.",
    "MeasurementRequest": "One measurement to send; `meter` and `account` are codes, not ids.",
    "NotificationResponse": "When an event is to be made known, as a calculation.",
    "ScheduledEventConfigurationResponse": "An event at a distance from a date of an entity.",
    "ExternalMappingResponse": "Which entity of an external system stands for which entity of m3ter.",
    "ExternalEntityResponse": "An entity of an external system, to map to.",
    "IntegrationConfigResponse": "A connection to an external system for one type of entity.",
    "IntegrationRunResponse": "One run of an integration, and how it ended.",
    "WebhookDestinationResponse": "An address that events are sent to, signed.",
    "PrincipalPermissionResponse": "That someone has a permission policy.",
    "PermissionStatementWrapper": "What is allowed or denied on which resources.",
    "PermissionStatement": "What is allowed or denied on which resources.",
    "OrgUserResponse": "A user, and until when.",
    "OrgUserInvitationResponse": "An invitation, and until when it can be accepted.",
    "OrganizationResponse": "An organization.",
    "LookupTableDataDownloadJobResponse": "The job that writes the data to a file.",
    "UsageFilter": "Which usage a contract covers.",
    "UploadJobResponse": "A job that reads an uploaded file; look at `failed_rows` even when it succeeded.",
    "AdHocResponse": "The job of an export that was started by hand.",
    "BillDataResponse": "What a query of bill line items found.",
    "BillData": "One line item that a query found.",
    "BillDetails": "The bill that a found line item belongs to.",
    "LineItemDimensions": "What a found line item is about.",
    "LineItemMeasures": "The amounts of a found line item.",
    "ConfigOptionsResponse": "A value that an option can take.",
    "EndDateBillingEntitiesResponse": "What was ended, and what could not be.",
    "EndDateBillingEntitiesResponseUpdatedEntities": "The ids of what was ended, by kind.",
    "EndDateBillingEntitiesResponseFailedEntities": "The ids of what could not be ended, by kind.",
    "EvaluateCalculationResponse": "Whether a calculation can be evaluated.",
    "EventFieldsResponse": "The fields of each event type.",
    "EventTypeResponse": "The names of event types.",
    "GenerateDownloadUrlResponse": "Where to download a file.",
    "GenerateExportDownloadUrlResponse": "Where to download an exported file, and until when.",
    "IntegrationCredentialsRequestBase": "How to log in to another system; which fields there are depends on `type`.",
    "IntegrationM3terSignedCredentialsRequest": "Key and secret with which m3ter signs what it sends.",
    "IntegrationM3terSignedCredentialsResponse": "Key and secret with which m3ter signs what it sends.",
    "LookupTableDataArchivedResponse": "Where to download archived data, and until when.",
    "LookupTableDataUploadResponse": "Where to upload the data of a revision, with which headers.",
    "LookupTableRevisionCopyResponse": "The job that copies the data.",
    "LookupTableRevisionDataResponse": "The rows of a revision.",
    "LookupTableRevisionDataDeleteResponse": "What came of deleting the data.",
    "MeResponse": "Who the caller is.",
    "ReplaceAccountPlanResponse": "The account plan that ended and the one in its place.",
    "SubmitMeasurementsResponse": "That measurements were received; they are validated later.",
    "SupportResponse": "The access of m3ter's support staff.",
    "UrlDownloadResponse": "Where to download a file, with which headers.",
    "UrlUploadResponse": "Where to upload a file, with which headers.",
    "UsageQueryResponse": "What a query of usage found.",
    "UsageQueryRequestWithTimePeriod": "A query of usage over a range, or over a period such as the last week.",
}

# Units that a field's name does not say.
UNITS = {
    "expires_in": "seconds",
    "overageSurchargePercent": "percent",
    "autoApproveBillsGracePeriod": "in autoApproveBillsGracePeriodUnit",
    "billFrequencyInterval": "in units of the frequency, 1 to 365",
    "frequencyInterval": "in units of the frequency, 1 to 365",
    "maxDecimalPlaces": "digits after the point",
    "contentLength": "bytes",
    "daysBeforeBillDue": "days",
}

# Those worth a sentence where the field is an argument.
_PLAIN_UNITS = ("seconds", "bytes")


def operations() -> set[str]:
    """The operations that this module speaks of, for a test to hold against the contract."""
    return set(_SUMMARIES) | set(_NOTES) | set(_EDIT_NOTES)


def schemas() -> set[str]:
    """The schemas that this module speaks of."""
    return set(_MODELS)


def model(name: str, python: str) -> str:
    """One line about a struct."""
    return _MODELS.get(name) or f"{_article(names.words(python)).capitalize()} {names.words(python)}."


def resource(name: str) -> str:
    """One line about a resource."""
    many = _noun(name)[1]
    return f"{many[0].upper()}{many[1:]}."


def summary(method: Method) -> str:
    """The first line of a method's docstring."""
    said = _summary(method)
    size = method.settings.get("page_size")
    return f"{said.rstrip('.')}, up to {size} in a page." if size else said


def _summary(method: Method) -> str:
    one, many = _noun(method.resource)
    if method.call.id in _SUMMARIES:
        return _SUMMARIES[method.call.id]
    if method.name in _VERBS:
        a_one = one if one.startswith("the ") else f"{_article(one)} {one}"
        said = _VERBS[method.name].format(many=many, a_one=a_one, plain=many.removeprefix("the "))
        if not method.record or (method.name == "retrieve" and not method.positional):
            said = said.partition(";")[0].rstrip(".") + "."
        return said
    said = names.words(method.call.id)
    return f"{said[0].upper()}{said[1:]}."


def notes(method: Method) -> list[str]:
    """What else to know before calling it."""
    found = list(_NOTES.get(method.call.id, ()))
    fields = {argument.wire for argument in method.arguments if argument.place == "body"}
    found += [f"`{a.name}` is in {UNITS[a.wire]}." for a in method.arguments if UNITS.get(a.wire) in _PLAIN_UNITS]
    if "currency" in fields and any(a.type.kind == "number" for a in method.arguments):
        found.append("Amounts are in `currency`, and are sent digit for digit.")
    if method.call.method == "PUT" and "version" in fields:
        found += [_VERSION_UPDATE, _REPLACES if "customFields" in fields else "Everything is replaced."]
    if method.call.method == "POST" and method.name.startswith("create") and "version" in fields:
        found.append(_VERSION_CREATE)
    if method.repeat == "never" and not {_MONEY, _MAIL} & set(found):
        found.append(_ONCE)
    if method.call.deprecated:
        found.append("The service calls it deprecated.")
    return found


def noun(resource: str) -> str:
    """What one of them is called."""
    return _noun(resource)[0]


def edit(method: Method) -> str:
    """The first line of an `edit`; `method` is the update that it writes with."""
    one = noun(method.resource)
    if one.startswith("the "):
        return f"Change parts of {one}, and lose nothing else."
    return f"Change fields of {_article(one)} {one}, and lose no other."


def edit_notes(method: Method, anew: Iterable[str]) -> list[str]:
    """What else to know before using an `edit`; it must be given the fields `anew`."""
    hidden = [f"Always give `{name}`: what is read of it cannot be written back." for name in anew]
    return [_EDIT, *hidden, *_EDIT_NOTES.get(method.call.id, ())]


def by_code(method: Method) -> str:
    """The first line of a `get_by_code`."""
    one = noun(method.resource)
    return f"Get the {one} with a code; `NotFoundError` if there is none."


def _noun(name: str) -> tuple[str, str]:
    many = name.rsplit(".", 1)[-1].replace("_", " ")
    return _NOUNS.get(name, (names.singular(many), many))


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeio" or noun.startswith("up") else "a"
