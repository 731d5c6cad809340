"""Which method of which resource every operation is, named as in the published `m3ter` package."""

from __future__ import annotations

# resource: method=operation; the last path argument of an operation is positional, those before it are keyword-only.
TABLE: dict[str, str] = {
    "account_plans": """
        list=ListAccountPlans create=PostAccountPlan retrieve=GetAccountPlan update=PutAccountPlan
        delete=DeleteAccountPlan replace=ReplaceAccountPlan
    """,
    "accounts": """
        list=ListAccounts create=PostAccount retrieve=GetAccount update=PutAccount delete=DeleteAccount
        end_date_billing_entities=EndDateBillingEntitiesForAccount list_children=ListAccountChildren
        search=SearchAccounts
    """,
    "aggregations": """
        list=ListAggregations create=PostAggregation retrieve=GetAggregation update=PutAggregation
        delete=DeleteAggregation
    """,
    "authentication": """
        get_bearer_token=GenerateToken
    """,
    "balances": """
        list=ListBalances create=PostBalance retrieve=GetBalance update=PutBalance delete=DeleteBalance
    """,
    "balances.charge_schedules": """
        list=ListBalanceChargeSchedule create=CreateBalanceChargeSchedule retrieve=GetBalanceChargeSchedule
        update=UpdateBalanceChargeSchedule delete=DeleteBalanceChargeSchedule preview=PreviewScheduledCharge
    """,
    "balances.transaction_schedules": """
        list=ListBalanceTransactionSchedule create=CreateBalanceTransactionSchedule
        retrieve=GetBalanceTransactionSchedule update=UpdateBalanceTransactionSchedule
        delete=DeleteBalanceTransactionSchedule preview=PreviewBalanceTransactionSchedule
    """,
    "balances.transactions": """
        list=ListBalanceTransactions create=PostBalanceTransaction summary=GetBalanceTransactionsSummary
    """,
    "bill_config": """
        retrieve=GetBillConfig update=UpdateBillConfig
    """,
    "bill_grouping_keys": """
        list=ListBillGroupingKeys create=CreateBillGroupingKey retrieve=GetBillGroupingKey
        update=UpdateBillGroupingKey delete=DeleteBillGroupingKey
    """,
    "bill_jobs": """
        list=ListBillJobs create=CreateBillJob retrieve=GetBillJob cancel=CancelBillJob
        recalculate=RecalculateBillJob
    """,
    "bills": """
        list=ListBills retrieve=GetBill delete=DeleteBill approve=ApproveBills
        approve_by_billing_period=ApproveAllBillsInBillingPeriod get_csv_download_url=DownloadBillsCsvUrl
        latest_by_account=GetLatestBill list_by_account=GetAllBillsForAccount
        list_by_billing_period=GetAllBillsInBillingPeriod lock=LockBill preview=PreviewBill search=SearchBills
        update_status=UpdateBillStatus
    """,
    "bills.credit_line_items": """
        list=ListCreditLineItems create=PostCreditLineItem retrieve=GetCreditLineItem update=PutCreditLineItem
        delete=DeleteCreditLineItem
    """,
    "bills.debit_line_items": """
        list=ListDebitLineItems create=PostDebitLineItem retrieve=GetDebitLineItem update=PutDebitLineItem
        delete=DeleteDebitLineItem
    """,
    "bills.line_items": """
        list=ListBillLineItems retrieve=GetBillLineItem get_usage_json=GetBillLineItemJsonUsage
    """,
    "charges": """
        list=ListCharges create=CreateCharge retrieve=GetCharge update=UpdateCharge delete=DeleteCharge
    """,
    "commitments": """
        list=ListCommitments create=PostCommitment retrieve=GetCommitment update=PutCommitment
        delete=DeleteCommitment search=SearchCommitments
    """,
    "compound_aggregations": """
        list=ListCompoundAggregations create=PostCompoundAggregation retrieve=GetCompoundAggregation
        update=PutCompoundAggregation delete=DeleteCompoundAggregation
    """,
    "contracts": """
        list=ListContracts create=PostContract retrieve=GetContract update=PutContract delete=DeleteContract
        end_date_billing_entities=EndDateBillingEntitiesForContract
    """,
    "counter_adjustments": """
        list=ListCounterAdjustments create=PostCounterAdjustment retrieve=GetCounterAdjustment
        update=PutCounterAdjustment delete=DeleteCounterAdjustment
    """,
    "counter_pricings": """
        list=ListCounterPricings create=PostCounterPricing retrieve=GetCounterPricing update=PutCounterPricing
        delete=DeleteCounterPricing
    """,
    "counters": """
        list=ListCounters create=PostCounter retrieve=GetCounter update=PutCounter delete=DeleteCounter
    """,
    "credit_reasons": """
        list=ListCreditReasons create=CreateCreditReason retrieve=GetCreditReason update=UpdateCreditReason
        delete=DeleteCreditReason
    """,
    "currencies": """
        list=ListCurrencies create=CreateCurrency retrieve=GetCurrency update=UpdateCurrency
        delete=DeleteCurrency
    """,
    "custom_fields": """
        retrieve=GetCustomField update=UpdateCustomFields
    """,
    "data_explorer": """
        query_bills=PostQueryBillData
    """,
    "data_exports": """
        create_adhoc=TriggerDataExport
    """,
    "data_exports.destinations": """
        list=ListDestinations create=PostDestination retrieve=GetExportDestination update=PutDestination
        delete=DeleteDestination
    """,
    "data_exports.jobs": """
        list=listJobStatuses retrieve=GetJob get_download_url=GenerateDataExportFileDownloadUrl
    """,
    "data_exports.schedules": """
        list=listSchedules create=CreateSchedule retrieve=GetSchedule update=UpdateSchedule
        delete=DeleteSchedule
    """,
    "debit_reasons": """
        list=ListDebitReasons create=CreateDebitReason retrieve=GetDebitReason update=UpdateDebitReason
        delete=DeleteDebitReason
    """,
    "events": """
        list=ListEvents retrieve=GetEvent get_fields=ListEventFields get_types=ListEventTypes
    """,
    "external_mappings": """
        list=ListExternalMappings create=CreateExternalMapping retrieve=GetExternalMapping
        update=UpdateExternalMapping delete=DeleteExternalMapping
        get_configuration=GetExternalMappingConfiguration
        list_by_external_entity=ListExternalMappingsForExternalSystemAndEntity
        list_by_m3ter_entity=ListExternalMappingsForM3terEntity
        list_options=GetExternalMappingOptionsForDestination
        list_options_by_credentials=GetExternalMappingOptionsForDestinationForCredentialsId
    """,
    "integration_configurations": """
        list=GetIntegrationConfigs create=PostIntegrationConfig retrieve=GetIntegrationConfig
        update=UpdateIntegrationConfig delete=DeleteIntegrationConfig enable=EnableIntegrationConfig
        get_by_entity=GetIntegrationConfigForType get_option_values=GetConfigOptionValues
        list_available=GetAvailableConfig list_available_auth=GetAvailableAuthForSystemAndEntityType
        list_available_entities=GetAvailableSystemEntities list_available_systems=GetAvailableSystems
    """,
    "integration_runs": """
        list=ListIntegrationRuns retrieve=GetIntegrationRun get_logs=GetIntegrationRunLogs
        list_by_destination=ListIntegrationRunsByDestinationId list_latest=GetIntegrationRunLatestForIds
        retrieve_latest=GetIntegrationRunLatest
    """,
    "line_items": """
        list=ListLineItems
    """,
    "lookup_tables": """
        list=ListLookupTable create=PostLookupTable retrieve=GetLookupTable update=PutLookupTable
        delete=DeleteLookupTable
    """,
    "lookup_tables.lookup_table_revision_data": """
        retrieve=GetLookupTableRevisionData update=PutLookupTableRevisionData
        delete=DeleteLookupTableRevisionData archieve=GetLookupTableRevisionArchivedDataUrl
        copy=CopyLookupTableRevisionData delete_key=DeleteLookupTableRevisionDataEntry
        generate_download_url=GenerateLookupTableDataUploadUrl retrieve_key=GetLookupTableRevisionDataEntry
        update_key=PutLookupTableRevisionDataEntry
    """,
    "lookup_tables.lookup_table_revision_data.lookup_table_revision_data_jobs": """
        list=ListLookupTableRevisionDataJobs retrieve=GetLookupTableRevisionDataJobResponse
        delete=DeleteLookupTableRevisionDataJobResponse download=TriggerLookupTableRevisionDataDownloadJob
    """,
    "lookup_tables.lookup_table_revisions": """
        list=ListLookupTableRevision create=CreateLookupTableRevision retrieve=GetLookupTableRevision
        update=UpdateLookupTableRevision delete=DeleteLookupTableRevision
        update_status=UpdateLookupTableRevisionStatus
    """,
    "marketplace": """
        list_usage_reports=GetUsageReport
    """,
    "meters": """
        list=ListMeters create=PostMeter retrieve=GetMeter update=PutMeter delete=DeleteMeter
    """,
    "notification_configurations": """
        list=ListNotifications create=CreateNotification retrieve=GetNotification update=UpdateNotification
        delete=DeleteNotification evaluate=EvaluateCalculation
    """,
    "organization_config": """
        retrieve=GetOrganizationConfig update=UpdateOrganizationConfig
    """,
    "permission_policies": """
        list=ListPermissionPolicies create=PostPermissionPolicy retrieve=GetPermissionPolicy
        update=PutPermissionPolicy delete=DeletePermissionPolicy
        add_to_service_user=AddPermissionPolicyToServiceUser
        add_to_support_user=AddPermissionPolicyToSupportUsers add_to_user=AddPermissionPolicyToUser
        add_to_user_group=AddPermissionPolicyToUserGroup
        remove_from_service_user=RemovePermissionPolicyFromServiceUser
        remove_from_support_user=RemovePermissionPolicyFromSupportUsers
        remove_from_user=RemovePermissionPolicyFromUser
        remove_from_user_group=RemovePermissionPolicyFromUserGroup
    """,
    "plan_group_links": """
        list=ListPlanGroupLinks create=PostPlanGroupLink retrieve=GetPlanGroupLink update=PutPlanGroupLink
        delete=DeletePlanGroupLink
    """,
    "plan_groups": """
        list=ListPlanGroups create=PostPlanGroup retrieve=GetPlanGroup update=PutPlanGroup
        delete=DeletePlanGroup
    """,
    "plan_templates": """
        list=ListPlanTemplates create=PostPlanTemplate retrieve=GetPlanTemplate update=PutPlanTemplate
        delete=DeletePlanTemplate
    """,
    "plans": """
        list=ListPlans create=PostPlan retrieve=GetPlan update=PutPlan delete=DeletePlan
    """,
    "pricings": """
        list=ListPricings create=PostPricing retrieve=GetPricing update=PutPricing delete=DeletePricing
    """,
    "products": """
        list=ListProducts create=PostProduct retrieve=GetProduct update=PutProduct delete=DeleteProduct
    """,
    "resource_groups": """
        list=ListResourceGroups create=PostResourceGroup retrieve=GetResourceGroup update=PutResourceGroup
        delete=DeleteResourceGroup add_resource=AddResourceToGroup list_contents=ListResourceGroupsForId
        list_permissions=GetResourceGroupPermissions remove_resource=RemoveResourceFromGroup
    """,
    "scheduled_event_configurations": """
        list=ListScheduledEventConfigurations create=CreateScheduledEventConfiguration
        retrieve=GetScheduledEventConfiguration update=UpdateScheduledEventConfiguration
        delete=DeleteScheduledEventConfiguration
    """,
    "statements": """
        create_csv=CreateBillCsvStatement get_csv=GetBillCsvStatement get_json=GetBillJsonStatement
    """,
    "statements.statement_definitions": """
        list=ListStatementDefinitions create=PostStatementDefinition retrieve=GetStatementDefinition
        update=PutStatementDefinition delete=DeleteStatementDefinition
    """,
    "statements.statement_jobs": """
        list=ListStatementJobs create=CreateStatementJob retrieve=GetStatementJob cancel=CancelStatementJob
        create_batch=CreateStatementJobBatch
    """,
    "support": """
        retrieve=GetSupport update=PutSupport
    """,
    "transaction_types": """
        list=ListTransactionTypes create=CreateTransactionType retrieve=GetTransactionType
        update=UpdateTransactionType delete=DeleteTransactionType
    """,
    "usage": """
        get_failed_ingest_download_url=GetValidationErrorDownloadUrl query=PostUsageDataQuery
        submit=SubmitMeasurements
    """,
    "usage.file_uploads": """
        generate_upload_url=GenerateUploadUrl
    """,
    "usage.file_uploads.jobs": """
        list=ListJobs retrieve=GetUploadJobResponse get_original_download_url=GetJobOriginalFileDownloadUrl
    """,
    "usage.saved_queries": """
        list=ListUsageSavedQueries create=CreateUsageSavedQuery retrieve=GetUsageSavedQuery
        update=UpdateUsageSavedQuery delete=DeleteUsageSavedQuery
    """,
    "users": """
        list=ListOrgUsers retrieve=GetOrgUser update=PutOrgUser get_permissions=GetOrgUserPermissions
        get_user_groups=GetOrgUserGroups me=GetMe resend_password=AdminResendTempPass
    """,
    "users.invitations": """
        list=ListOrgUserInvitations create=CreateOrgUserInvitation retrieve=GetOrgUserInvitation
    """,
    "webhooks": """
        list=ListWebhookIntegrations create=CreateWebhookDestination retrieve=GetWebhookIntegrationDestination
        update=UpdateWebhookDestination delete=DeleteWebhookDestination set_active=ActivateWebhookDestination
    """,
}
